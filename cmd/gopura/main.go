// Command gopura is the gateway: it runs a configuration, checks it, explains
// it, and shows itself in a demo.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gopura/config"
)

// The exit codes.
const (
	exitProblem = 1 // what was asked for went wrong
	exitUsage   = 2 // it was asked for in a way that is not understood
	exitLost    = 3 // import: done, and something of the source is not in the result
)

func main() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }

// Main runs a command line and returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	var f *failure
	if !errors.As(err, &f) {
		fmt.Fprintf(stderr, "gopura: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	}
	if errors.Is(f.err, errLost) {
		return exitLost
	}
	report(stderr, f.err)
	return exitProblem
}

// failure is what went wrong while a command did its work; every other error
// is about the command line.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errReported stands for a failure that the user has already read about.
var errReported = errors.New("reported")

// act makes the errors of a command's work failures.
func act(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return &failure{err}
		}
		return nil
	}
}

// report tells the user what went wrong: problems of a configuration with
// their lines, anything else in one line.
func report(w io.Writer, err error) {
	if errors.Is(err, errReported) {
		return
	}
	if p, ok := asProblems(err); ok {
		p.Render(w, colorful(w))
		return
	}
	fmt.Fprintf(w, "gopura: %v\n", err)
}

func asProblems(err error) (p *config.Problems, ok bool) {
	ok = errors.As(err, &p)
	return p, ok
}

// colorful reports whether w is a terminal whose user has not asked for plain
// text (https://no-color.org).
func colorful(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gopura",
		Short: "An API gateway in one binary",
		Long: `Gopura is an API gateway: one binary in front of many services.

It routes, balances, retries, edits and shows their traffic, as one file says.
Start with 'gopura demo'; then write a gopura.yaml and 'gopura run' it.

Exit codes: 0 done, 1 a problem, 2 a command line that is not understood.`,
		Version:       strings.TrimPrefix(versionLine(), "gopura "), // a template of our own would bring text/template in
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newRun(), newUpgrade(), newCheck(), newRoutes(), newExplain(), newTest(), newGraph(), newLint(), newDiff(), newRecord(), newImport(), newOpenAPI(), newDemo(), newSchema(), newKey(), newLimits(), newHistory(), newRollback(), newTop(), newDebugToken(), newVersion())
	root.Flags().BoolP("version", "v", false, "print the version")
	suggestNames(root)
	sayArgs(root)
	return root
}

// suggestNames lets whoever writes what another gateway calls a command read what
// it is here.
func suggestNames(root *cobra.Command) {
	for name, others := range map[string][]string{
		"run":     {"start", "serve", "server", "up"},
		"check":   {"validate", "verify", "config", "configtest"},
		"routes":  {"match"},
		"import":  {"convert", "migrate"},
		"history": {"versions"},
	} {
		if cmd, _, err := root.Find([]string{name}); err == nil {
			cmd.SuggestFor = others
		}
	}
}
