package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gopura/telemetry"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Version prints the version of Gopura, the revision that it was built from, and the version of Go that built it.",
		Example: "  gopura version",
		Args:    cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return nil
		}),
	}
}

func versionLine() string {
	b := build()
	revision := ""
	if b.Revision != "" {
		revision = "revision " + b.Revision + ", "
	}
	return fmt.Sprintf("gopura %s (%s%s, %s/%s)", b.Version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// build says which build this is; the revision is known when it was built
// within a repository.
func build() telemetry.Build {
	b := telemetry.Build{Version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified && b.Revision != "" {
		b.Revision += "+changes"
	}
	return b
}
