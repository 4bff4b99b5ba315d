package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gopura/gateway"
	"gopura/lint"
)

func newLint() *cobra.Command {
	var path, format string
	var strict bool
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Look for what is allowed and seldom meant",
		Long: `Lint looks for what check accepts and a careful reader would ask about: routes that
ask nobody who they are, services that may take for ever, credentials in clear.

A finding is silenced, with a reason, by a comment on its line or the line above:

  # lint:ignore public-route everybody may see the catalog

The exit code is 1 when there are errors; with --strict also when there are warnings.`,
		Example: `  gopura lint
  gopura lint --strict
  gopura lint --format sarif > gopura.sarif
  gopura lint --format rules`,
		Args: cobra.NoArgs,
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVarP(&format, "format", "f", "text", "text, sarif, or rules to list what is looked for")
	cmd.Flags().BoolVar(&strict, "strict", false, "warnings fail as well")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if format != "text" && format != "sarif" && format != "rules" {
			return fmt.Errorf("--format: %q is none of text, sarif, rules", format)
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			if format == "rules" {
				return listRules(cmd.OutOrStdout())
			}
			doc, err := gateway.Check(loader(path))
			if err != nil {
				return err
			}
			return tellFindings(cmd.OutOrStdout(), lint.Run(doc, os.ReadFile), format, strict)
		})(cmd, args)
	}
	return cmd
}

func listRules(w io.Writer) error {
	for _, r := range lint.Rules {
		if _, err := fmt.Fprintf(w, "%s (%s)\n    %s\n    %s\n", r.Name, r.Level, r.Text, r.Why); err != nil {
			return err
		}
	}
	return nil
}

func tellFindings(w io.Writer, found []lint.Finding, format string, strict bool) error {
	tally := map[lint.Level]int{}
	ignored := 0
	for _, f := range found {
		if f.Ignored != "" {
			ignored++
			continue
		}
		tally[f.Rule.Level]++
		if format == "text" {
			fmt.Fprintf(w, "%s: %s: %s [%s]\n", f.Pos, f.Rule.Level, f.Message, f.Rule.Name)
			if f.Hint != "" {
				fmt.Fprintf(w, "    %s\n", f.Hint)
			}
		}
	}
	if format == "sarif" {
		text, err := lint.SARIF(found, build().Version)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(text, '\n')); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%s, %s, %s", count(tally[lint.Error], "error"), count(tally[lint.Warning], "warning"), count(tally[lint.Note], "note"))
		if ignored > 0 {
			fmt.Fprintf(w, ", %d ignored", ignored)
		}
		fmt.Fprintln(w)
	}
	if tally[lint.Error] > 0 || strict && tally[lint.Warning] > 0 {
		return errReported
	}
	return nil
}
