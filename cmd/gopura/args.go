package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// sayArgs makes commands that get the wrong arguments say how they are
// written, in place of how many arguments there were.
func sayArgs(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		sayArgs(c)
	}
	fits := cmd.Args
	if fits == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch err := fits(cmd, args); {
		case err == nil:
			return nil
		case cmd.Use == cmd.Name() && cmd.Flags().Lookup("config") != nil:
			return fmt.Errorf("%s takes no argument %q: a configuration is named with -c", cmd.CommandPath(), args[0])
		case cmd.Use == cmd.Name():
			return fmt.Errorf("%s takes no argument %q", cmd.CommandPath(), args[0])
		case len(args) == 0:
			return fmt.Errorf("something is missing: %s", cmd.UseLine())
		}
		return fmt.Errorf("the arguments are not as in: %s", cmd.UseLine())
	}
}
