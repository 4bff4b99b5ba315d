package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newRecord() *cobra.Command {
	a := new(adminClient)
	var to string
	var length time.Duration
	var most int
	var sample float64
	filters := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record requests of a gateway that runs",
		Long: `Record writes the access records of real requests to a file, one a line, until
--for is over, there are --max of them, or it is interrupted. 'gopura diff --replay'
then says which of them a new configuration would answer differently.

A recording holds no bodies, no header fields but User-Agent and Referer, and no values
of query parameters that look like credentials. The gateway sends it through its
admin API; requests don't wait for it, and what it can't take is left out and counted.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  gopura record -o monday.jsonl --for 10m --sample 0.1
  gopura record -o shop.jsonl --path /shop/ --max 5000
  gopura diff gopura.yaml new.yaml --replay shop.jsonl`,
		Args: cobra.NoArgs,
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&to, "output", "o", "-", "the file to write; - is standard output")
	spanFlag(cmd, &length, "for", time.Minute, "how long")
	f.IntVar(&most, "max", 100000, "how many requests")
	f.Float64Var(&sample, "sample", 1, "which share of the requests, 0.1 is every tenth by chance")
	for name, what := range map[string]string{"route": "only requests of this route", "service": "only of this service", "path": "only paths that begin with this", "status": "only with this status: 404, 5xx"} {
		filters[name] = f.String(name, "", what)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if sample <= 0 || sample > 1 {
			return errors.New("--sample: a share is more than 0 and at most 1")
		}
		if length <= 0 || most <= 0 {
			return errors.New("--for and --max: more than nothing")
		}
		ask := url.Values{}
		if sample < 1 {
			ask.Set("sample", strconv.FormatFloat(sample, 'g', -1, 64))
		}
		for name, v := range filters {
			if *v != "" {
				ask.Set(name, *v)
			}
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, length)
			defer cancel()
			out, closeOut, err := output(to, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			n, dropped, err := a.record(ctx, "/api/exchanges/live?"+ask.Encode(), out, most)
			if fault := closeOut(); err == nil {
				err = fault
			}
			if err != nil && n == 0 {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "recorded %s", count(n, "request"))
			if dropped > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "; %d more came faster than they could be taken", dropped)
			}
			fmt.Fprintln(cmd.ErrOrStderr())
			return err
		})(cmd, args)
	}
	return cmd
}

// output opens a file that only its owner can read: it says who asked for what.
func output(to string, stdout io.Writer) (io.Writer, func() error, error) {
	if to == "-" {
		return stdout, func() error { return nil }, nil
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	b := bufio.NewWriter(f)
	return b, func() error { return errors.Join(b.Flush(), f.Close()) }, nil
}

// record copies the records of a tail, which is a stream of events, until ctx is
// over or there are enough.
func (a *adminClient) record(ctx context.Context, path string, out io.Writer, most int) (n, dropped int, err error) {
	body, err := a.stream(ctx, path)
	if err != nil {
		return 0, 0, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for n < most && lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
			continue
		}
		data, ok := strings.CutPrefix(line, "data: ")
		switch {
		case !ok:
		case event == "exchange":
			if _, err := io.WriteString(out, data+"\n"); err != nil {
				return n, dropped, err
			}
			n++
		case event == "dropped":
			var some int
			if _, err := fmt.Sscanf(data, `{"dropped":%d}`, &some); err == nil {
				dropped += some
			}
		case event == "end":
			return n, dropped, fmt.Errorf("the gateway ended the recording: %s", data)
		}
	}
	if ctx.Err() != nil {
		return n, dropped, nil
	}
	return n, dropped, lines.Err()
}
