package main

import (
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/demo"
	"gopura/gateway"
	"gopura/handover"
)

const (
	demoListen = ":8080"
	demoAdmin  = "127.0.0.1:9900"
)

func newDemo() *cobra.Command {
	var listen, adminAddr string
	var show bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop behind the gateway",
		Long: `Demo runs a gateway in front of sample services that live in the same process:
users, orders, reviews and a catalog, with data. It prints requests to try.

Where one of the usual addresses is taken, a free port is used instead, unless
you asked for that address. With --print it only prints its configuration, which
is a good start for your own.`,
		Example: `  gopura demo
  gopura demo --listen :9000 --admin 127.0.0.1:9001
  gopura demo --print > gopura.yaml`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if show {
				_, err := out.Write(demo.Config)
				return err
			}
			if !cmd.Flags().Changed("listen") {
				listen = orFree(cmd.ErrOrStderr(), listen)
			}
			if !cmd.Flags().Changed("admin") {
				adminAddr = orFree(cmd.ErrOrStderr(), adminAddr)
			}
			d, err := startDemo(map[string]string{"DEMO_LISTEN": listen, "DEMO_ADMIN": adminAddr}, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer d.services.Close()
			d.welcome(out)
			return d.wait()
		}),
	}
	cmd.Flags().StringVar(&listen, "listen", demoListen, "address for clients")
	cmd.Flags().StringVar(&adminAddr, "admin", demoAdmin, "address of the admin listener")
	cmd.Flags().BoolVar(&show, "print", false, "print the configuration and exit")
	return cmd
}

// shop is the demo while it runs.
type shop struct {
	*process
	services *demo.Services
}

// startDemo starts the services and the gateway; vars are further variables of
// the configuration.
func startDemo(vars map[string]string, stderr io.Writer) (*shop, error) {
	services, err := demo.Start()
	if err != nil {
		return nil, err
	}
	options := gateway.ConfigOptions()
	options.Env = func(name string) (string, bool) {
		if value, ok := vars[name]; ok {
			return value, true
		}
		return services.Env(name)
	}
	load := func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: "demo.yaml", Data: demo.Config}}, options)
	}
	p, err := start(source{load: load}, &handover.Taken{Sockets: new(handover.Sockets)}, stderr)
	if err != nil {
		services.Close()
		return nil, err
	}
	return &shop{p, services}, nil
}

// client and admin are the URLs of the two listeners.
func (s *shop) client() string   { return "http://" + reachable(s.gateway.Address("default")) }
func (s *shop) adminURL() string { return "http://" + reachable(s.admin.Address()) }

func (s *shop) welcome(w io.Writer) {
	fmt.Fprintf(w, "A shop is open at %s; its admin listener is at %s.\n", s.client(), s.adminURL())
	fmt.Fprintf(w, "Each request prints its access record below. Stop with Ctrl-C.\n")
	for _, t := range s.services.Tries() {
		server := s.client()
		if t.Admin {
			server = s.adminURL()
		}
		fmt.Fprintf(w, "\n  # %s\n  %s\n", t.Shows, t.Curl(server))
	}
	fmt.Fprintln(w)
}

// reachable turns the address of a listener into one that a client can use.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// orFree returns the address, or the same with a free port when it is taken.
func orFree(w io.Writer, address string) string {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		ln.Close()
		return address
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return address
	}
	fmt.Fprintf(w, "%s is taken, so a free port is used instead.\n", address)
	return net.JoinHostPort(host, "0")
}
