package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gopura/diagram"
	"gopura/gateway"
)

func newGraph() *cobra.Command {
	var path, format, out string
	var most int
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Draw the architecture",
		Long: `Graph draws what a configuration describes: clients, listeners, routes with their
policies, services, targets. What is drawn in green proves itself: a listener or
target with TLS, a route that asks who is calling.`,
		Example: `  gopura graph
  gopura graph --format svg -o architecture.svg
  gopura graph --format dot | dot -Tpdf > architecture.pdf`,
		Args: cobra.NoArgs,
	}
	configFlag(cmd, &path)
	f := cmd.Flags()
	f.StringVarP(&format, "format", "f", "mermaid", "mermaid, dot or svg")
	f.StringVarP(&out, "output", "o", "", "write to this file")
	f.IntVar(&most, "routes", 40, "draw up to so many routes one by one; more are put together by what they have in common")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		draw := map[string]func(*diagram.Graph) string{"mermaid": (*diagram.Graph).Mermaid, "dot": (*diagram.Graph).DOT, "svg": (*diagram.Graph).SVG}[format]
		if draw == nil {
			return fmt.Errorf("--format: %q is none of mermaid, dot, svg", format)
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			doc, err := gateway.Check(loader(path))
			if err != nil {
				return err
			}
			text := draw(diagram.Of(doc, diagram.Options{Most: most}))
			if out != "" {
				return os.WriteFile(out, []byte(text), 0o644)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		})(cmd, args)
	}
	return cmd
}
