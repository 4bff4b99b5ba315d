package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/gateway"
)

func newCheck() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration",
		Long: `Check reads and compiles a configuration as run does, and opens nothing.

Every problem is printed with its place, its line and, where that is clear, what
was probably meant. The exit code is 1 when the configuration can't be used;
warnings alone leave it at 0.`,
		Example: `  gopura check
  gopura check -c /etc/gopura && systemctl reload gopura`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			doc, err := gateway.Check(loader(path))
			if err != nil {
				report(cmd.ErrOrStderr(), err)
				if p, ok := asProblems(err); ok {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", path, tally(p))
				}
				return errReported
			}
			if p := doc.Problems(); len(p.List) > 0 {
				p.Render(cmd.ErrOrStderr(), colorful(cmd.ErrOrStderr()))
			}
			summary(cmd.OutOrStdout(), path, doc)
			return nil
		}),
	}
	configFlag(cmd, &path)
	return cmd
}

// summary says in one line what a configuration has.
func summary(w io.Writer, path string, doc *config.Document) {
	fmt.Fprintf(w, "%s: %s, %s, %s\n", path, count(len(doc.Routes), "route"), count(len(doc.Services), "service"), tally(doc.Problems()))
}

// tally counts problems and warnings: "1 problem, 2 warnings".
func tally(p *config.Problems) string {
	errors, warnings := 0, 0
	for _, q := range p.List {
		if q.Warning {
			warnings++
		} else {
			errors++
		}
	}
	text := "no problems"
	if errors > 0 {
		text = count(errors, "problem")
	}
	if warnings > 0 {
		text += ", " + count(warnings, "warning")
	}
	return text
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
