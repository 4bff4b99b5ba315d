package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/console"
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
	var traffic float64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop behind the gateway",
		Long: `Demo runs a gateway in front of sample services that live in the same process:
users, orders, reviews and a catalog, with data. It prints requests to try.

Where one of the usual addresses is taken, a free port is used instead, unless
you asked for that address. With --traffic there are visitors, so that the
console has something to show. With --print it only prints its configuration, which
is a good start for your own.`,
		Example: `  gopura demo
  gopura demo --listen :9000 --admin 127.0.0.1:9001
  gopura demo --traffic 20
  gopura demo --print > gopura.yaml`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if show {
				_, err := out.Write(demo.Config)
				return err
			}
			for _, f := range []struct{ name, address string }{{"listen", listen}, {"admin", adminAddr}} {
				if _, _, err := net.SplitHostPort(f.address); err != nil {
					return fmt.Errorf("--%s: %q is no address to listen on: expected host:port or :port", f.name, f.address)
				}
			}
			if !cmd.Flags().Changed("listen") {
				listen = orFree(cmd.ErrOrStderr(), listen)
			}
			if !cmd.Flags().Changed("admin") {
				adminAddr = orFree(cmd.ErrOrStderr(), adminAddr)
			}
			vars := map[string]string{"DEMO_LISTEN": listen, "DEMO_ADMIN": adminAddr}
			if traffic > 0 {
				vars["DEMO_ACCESS_LOG"] = os.DevNull // nobody reads so many
			}
			d, err := startDemo(vars, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer d.services.Close()
			d.welcome(out, traffic)
			if traffic > 0 {
				ctx, stop := context.WithCancel(cmd.Context())
				defer stop()
				go d.services.Traffic(ctx, d.client(), traffic)
			}
			return d.wait()
		}),
	}
	cmd.Flags().StringVar(&listen, "listen", demoListen, "address for clients")
	cmd.Flags().StringVar(&adminAddr, "admin", demoAdmin, "address of the admin listener")
	cmd.Flags().BoolVar(&show, "print", false, "print the configuration and exit")
	cmd.Flags().Float64Var(&traffic, "traffic", 0, "have visitors send about so many requests a second, instead of printing access records")
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

func (s *shop) welcome(w io.Writer, traffic float64) {
	fmt.Fprintf(w, "A shop is open at %s; its admin listener is at %s.\n", s.client(), s.adminURL())
	fmt.Fprintf(w, "See it work in a browser: %s%s\n", s.adminURL(), console.Root)
	if traffic > 0 {
		fmt.Fprintf(w, "Visitors send about %g requests a second. Stop with Ctrl-C.\n", traffic)
	} else {
		fmt.Fprintf(w, "Each request prints its access record below. Stop with Ctrl-C.\n")
	}
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
