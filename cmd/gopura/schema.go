package main

import (
	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/gateway"
)

func newSchema() *cobra.Command {
	var reference bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: `Schema prints the JSON Schema (2020-12) of the configuration, with which editors
complete and check it while you write. With --reference it prints the same as a
reference page in Markdown: every key, its type, its default, what it does.`,
		Example: `  gopura schema > gopura.schema.json
  # then, in the first line of gopura.yaml:
  #   # yaml-language-server: $schema=gopura.schema.json
  gopura schema --reference > configuration.md`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			text := config.Schema(gateway.ConfigOptions())
			if reference {
				text = config.Reference(gateway.ConfigOptions())
			}
			_, err := cmd.OutOrStdout().Write(text)
			return err
		}),
	}
	cmd.Flags().BoolVar(&reference, "reference", false, "print the reference page instead (Markdown)")
	return cmd
}
