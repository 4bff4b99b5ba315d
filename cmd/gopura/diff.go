package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gopura/gateway"
	"gopura/replay"
)

func newDiff() *cobra.Command {
	var asJSON, quiet bool
	var recording string
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a new configuration does differently",
		Long: `Diff compares what two configurations do: routes, services, listeners and settings
that are added, removed or changed. Order, comments and where something stands don't
count. A protection that a route loses (identity, allow, limit, …) is an alarm.

With --replay, both are also asked about recorded requests (of 'gopura record', or an
access log in JSON), and those that would be answered differently are told, by what
becomes of them. Callers are who they were, time is that of the records, services
answer with an empty 200.

The exit code is 1 when there is an alarm, else 0.`,
		Example: `  gopura diff /etc/gopura new/
  gopura diff /etc/gopura new/ --replay /var/log/gopura/access.log
  git show HEAD:gopura.yaml > /tmp/old.yaml && gopura diff /tmp/old.yaml gopura.yaml`,
		Args: cobra.ExactArgs(2),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print alarms only")
	cmd.Flags().StringVar(&recording, "replay", "", "a recording: access records in JSON, one a line")
	cmd.RunE = act(func(cmd *cobra.Command, args []string) error {
		before, err := gateway.Check(loader(args[0]))
		if err != nil {
			return err
		}
		after, err := gateway.Check(loader(args[1]))
		if err != nil {
			return err
		}
		changes := gateway.Differences(before, after)
		var replayed *replay.Result
		if recording != "" {
			if replayed, err = replayFile(args, recording); err != nil {
				return err
			}
		}
		if asJSON {
			if err := printDifference(cmd.OutOrStdout(), changes, replayed); err != nil {
				return err
			}
		} else {
			tellChanges(cmd.OutOrStdout(), changes, quiet)
			tellReplay(cmd.OutOrStdout(), replayed)
		}
		for _, c := range changes {
			if len(c.Alarms) > 0 {
				return errReported
			}
		}
		return nil
	})
	return cmd
}

func replayFile(configs []string, recording string) (*replay.Result, error) {
	f, err := os.Open(recording)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return replay.Run(loader(configs[0]), loader(configs[1]), f)
}

// printDifference prints the list of changes alone, or with what a replay found.
func printDifference(w io.Writer, changes []gateway.Change, r *replay.Result) error {
	if changes == nil {
		changes = []gateway.Change{}
	}
	if r == nil {
		return printJSON(w, changes)
	}
	return printJSON(w, struct {
		Changes []gateway.Change `json:"changes"`
		Replay  *replay.Result   `json:"replay"`
	}{changes, r})
}

func tellReplay(w io.Writer, r *replay.Result) {
	if r == nil {
		return
	}
	fmt.Fprintf(w, "\n%d of %s would be answered differently\n", r.Different, count(r.Requests, "recorded request"))
	for _, g := range r.Groups {
		fmt.Fprintf(w, "  %d  %s\n     -> %s\n     such as %s\n", g.Count, g.Before, g.After, g.Example)
	}
	if r.Skipped > 0 {
		fmt.Fprintf(w, "%s left out: they never were requests\n", count(r.Skipped, "record"))
	}
}

func tellChanges(w io.Writer, changes []gateway.Change, quiet bool) {
	alarms := 0
	for _, c := range changes {
		alarms += len(c.Alarms)
		if quiet && len(c.Alarms) == 0 {
			continue
		}
		mark := map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.Kind]
		fmt.Fprintf(w, "%s %s  (%s)\n", mark, c.What, c.Origin)
		for _, a := range c.Alarms {
			fmt.Fprintf(w, "    ! %s\n", a)
		}
		if quiet {
			continue
		}
		for _, d := range c.Details {
			switch {
			case d.Old == "":
				fmt.Fprintf(w, "    + %s: %s\n", d.Path, d.New)
			case d.New == "":
				fmt.Fprintf(w, "    - %s: %s\n", d.Path, d.Old)
			default:
				fmt.Fprintf(w, "    ~ %s: %s -> %s\n", d.Path, d.Old, d.New)
			}
		}
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(w, "no difference")
	case !quiet || alarms > 0:
		fmt.Fprintf(w, "%s, %s\n", count(len(changes), "change"), count(alarms, "alarm"))
	}
}
