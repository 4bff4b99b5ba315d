package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gopura/apidoc"
	"gopura/gateway"
)

func newOpenAPI() *cobra.Command {
	var path, out string
	var asJSON bool
	o := apidoc.Options{}
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Describe what the gateway exposes as an OpenAPI 3.1 document",
		Long: `Openapi describes what a configuration exposes: paths, methods and parameters,
messages of gRPC methods, credentials, and the problems with which policies refuse.
What can't be described is told on stderr.`,
		Example: `  gopura openapi --title Shop --version 1.4.0 --server https://api.example.com -o openapi.yaml
  gopura openapi --json --host api.example.com`,
		Args: cobra.NoArgs,
	}
	configFlag(cmd, &path)
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", "", "write to this file")
	f.BoolVar(&asJSON, "json", false, "write JSON; left out: YAML")
	f.StringVar(&o.Title, "title", "API", "the title of the document")
	f.StringVar(&o.Version, "version", "1.0.0", "the version of the API")
	f.StringArrayVar(&o.Servers, "server", nil, "a URL where clients reach the gateway")
	f.StringVar(&o.Host, "host", "", "only the routes that take this host")
	cmd.RunE = act(func(cmd *cobra.Command, _ []string) error {
		offline, err := gateway.CompileOffline(loader(path))
		if err != nil {
			return err
		}
		defer offline.Close()
		d := apidoc.Describe(offline, o)
		text := d.YAML()
		if asJSON {
			if text, err = d.JSON(); err != nil {
				return err
			}
		}
		for _, m := range d.Missing {
			fmt.Fprintln(cmd.ErrOrStderr(), m)
		}
		if out != "" {
			return os.WriteFile(out, text, 0o644)
		}
		_, err = cmd.OutOrStdout().Write(text)
		return err
	})
	return cmd
}
