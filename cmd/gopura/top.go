package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newTop() *cobra.Command {
	v := &topView{table: "routes", by: "rate"}
	a := new(adminClient)
	var every time.Duration
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the traffic of a gateway that runs",
		Long: `Top shows what flows through a gateway that runs: requests, errors, refusals and
latencies of its routes, services, targets or listeners, and of the clients that ask
most. Latencies are estimated from histograms. Clients are counted from the first look
until a minute after the last.

Keys: r routes, s services, t targets, l listeners, c clients; 1 to 6 or < and > choose
the column to sort by; p pauses; q quits.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  gopura top
  gopura top --show services --sort p99
  gopura top --once --show clients`,
		Args: cobra.NoArgs,
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&v.table, "show", v.table, "routes, services, targets, listeners or clients")
	f.StringVar(&v.by, "sort", v.by, "the column to sort by: rate, errors, refused, limited, p50, p95, p99 or name")
	spanFlag(cmd, &every, "every", 2500*time.Millisecond, "how often to look")
	f.BoolVar(&once, "once", false, "print the table once, plainly, and end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(topTables, v.table) {
			return fmt.Errorf("--show: %q is none of %s", v.table, strings.Join(topTables, ", "))
		}
		if !slices.Contains(topColumns, v.by) {
			return fmt.Errorf("--sort: %q is none of %s", v.by, strings.Join(topColumns, ", "))
		}
		if every < 500*time.Millisecond {
			return fmt.Errorf("--every: not more often than each 500ms")
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			if once {
				return topOnce(cmd.OutOrStdout(), a, v)
			}
			return topWatch(cmd.Context(), a, v, every)
		})(cmd, args)
	}
	return cmd
}

// traffic is what the admin API says about what flows.
type traffic struct {
	Step       float64 `json:"step_seconds"`
	Generation uint64
	Total      topValues
	Nodes      map[string]topValues
}

type topValues struct {
	Rate, Errors, Refused, Limited float64
	P50                            float64 `json:"p50_ms"`
	P95                            float64 `json:"p95_ms"`
	P99                            float64 `json:"p99_ms"`
	InFlight                       int64   `json:"in_flight"`
	Connections                    int64
}

type topClients struct {
	Seconds float64
	Clients []struct {
		Client, Identity          string
		Requests, Errors, Refused uint64
		Limited                   uint64
		Rate                      float64
		P50                       float64 `json:"p50_ms"`
		P95                       float64 `json:"p95_ms"`
		P99                       float64 `json:"p99_ms"`
	}
}

// topData is one look.
type topData struct {
	traffic traffic
	rows    []topRow
}

func (a *adminClient) look(table string) (*topData, error) {
	d := new(topData)
	if err := a.ask(http.MethodGet, "/api/traffic", &d.traffic); err != nil {
		return nil, err
	}
	if table == "clients" {
		var c topClients
		if err := a.ask(http.MethodGet, "/api/clients?top=200", &c); err != nil {
			return nil, err
		}
		span := max(c.Seconds, 1)
		for _, one := range c.Clients {
			name := one.Client
			if one.Identity != "" {
				name += " (" + one.Identity + ")"
			}
			d.rows = append(d.rows, topRow{name, topValues{Rate: one.Rate, Errors: float64(one.Errors) / span, Refused: float64(one.Refused) / span, Limited: float64(one.Limited) / span, P50: one.P50, P95: one.P95, P99: one.P99}})
		}
		return d, nil
	}
	kind := strings.TrimSuffix(table, "s") + ":"
	for id, v := range d.traffic.Nodes {
		if name, ok := strings.CutPrefix(id, kind); ok {
			if name == "" {
				name = "(no route)"
			}
			d.rows = append(d.rows, topRow{name, v})
		}
	}
	return d, nil
}

func topOnce(w io.Writer, a *adminClient, v *topView) error {
	d, err := a.look(v.table)
	if err != nil {
		return err
	}
	for _, line := range v.lines(d, 0, 1<<20) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// topWatch draws the table anew until somebody quits.
func topWatch(ctx context.Context, a *adminClient, v *topView, every time.Duration) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	term, err := openTerminal(os.Stdin, os.Stdout)
	if err != nil {
		return fmt.Errorf("top needs a terminal; 'gopura top --once' does not: %w", err)
	}
	defer term.close()
	keys := term.keys(ctx)
	tick := time.NewTicker(every)
	defer tick.Stop()
	d, err := a.look(v.table)
	for {
		if err != nil {
			v.trouble = err.Error()
		} else {
			v.trouble = ""
		}
		columns, rows := term.size()
		term.draw(v.screen(d, columns, rows))
		select {
		case <-ctx.Done():
			return nil
		case key, ok := <-keys:
			if !ok || !v.press(key) {
				return nil
			}
			d, err = a.look(v.table)
		case <-tick.C:
			if !v.paused {
				d, err = a.look(v.table)
			}
		}
	}
}
