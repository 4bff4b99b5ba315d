package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gopura/handover"
)

// upgradeTime is how long a new process may take to serve: it reads its
// configuration and fetches keys in that time.
const upgradeTime = 60 * time.Second

var errUpgrading = errors.New("an upgrade is under way")

// upgrade is the state of handing over to a new process. It belongs to the
// goroutine that serves signals.
type upgrade struct {
	asked  chan chan error // by the admin API; it is told how it went
	ended  chan succession // nil: none is under way
	answer chan error      // who is to be told; nil: nobody
	done   bool            // another process serves
}

// succession is how an attempt ended.
type succession struct {
	next *handover.Successor
	err  error
}

// ready tells whoever waits for this process that it serves.
func (p *process) ready() error {
	if err := handover.Notify("READY=1"); err != nil {
		p.log.Warn("telling the service manager", "error", err)
	}
	if err := p.taken.Ready(); err != nil {
		// Nobody stops for us, and both would serve for ever.
		return fmt.Errorf("telling the process before this one: %w", err)
	}
	return nil
}

// takeOver opens what could not be shared with the process before this one, when
// that is gone.
func (p *process) takeOver(ctx context.Context) {
	if !p.taken.Follows() {
		return
	}
	p.taken.Gone()
	p.log.Info("the process before this one has ended")
	if ctx.Err() == nil {
		if err := p.gateway.Reload(ctx); err != nil {
			p.log.Error("HTTP/3 can't be taken over", "error", err)
		}
	}
}

// requestUpgrade is what the admin API calls: it starts the new process and
// returns when that serves, or says why it does not.
func (p *process) requestUpgrade(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case p.upgrade.asked <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beginUpgrade starts the binary that lies where this process's lay.
func (p *process) beginUpgrade(ctx context.Context, answer chan error) {
	if p.upgrade.ended != nil {
		p.log.Warn("another upgrade is under way")
		if answer != nil {
			answer <- errUpgrading
		}
		return
	}
	ended := make(chan succession, 1)
	p.upgrade.ended, p.upgrade.answer = ended, answer
	program, err := os.Executable()
	if err != nil {
		ended <- succession{err: err}
		return
	}
	p.log.Info("upgrading", "program", program)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, upgradeTime)
		defer cancel()
		next, err := p.taken.Start(ctx, program, os.Args[1:]...)
		ended <- succession{next, err}
	}()
}

// endUpgrade reports whether a new process serves, and this one is to stop.
func (p *process) endUpgrade(r succession) bool {
	answer := p.upgrade.answer
	p.upgrade.ended, p.upgrade.answer = nil, nil
	if answer != nil {
		answer <- r.err
	}
	if r.err != nil {
		p.log.Error("the upgrade has failed, this process goes on", "error", r.err)
		return false
	}
	p.log.Info("another process serves now, this one drains", "pid", r.next.PID, "grace", p.doc.Load().Shutdown.Grace)
	if err := handover.Notify(fmt.Sprintf("MAINPID=%d", r.next.PID)); err != nil {
		p.log.Warn("telling the service manager", "error", err)
	}
	p.gateway.HandedOver()
	p.upgrade.done = true
	return true
}

func newUpgrade() *cobra.Command {
	a := new(adminClient)
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Let a new binary take over from a gateway that runs",
		Long: `Upgrade asks a gateway that runs, by its admin API, to start the binary that now
lies where its own lay, with the same arguments, and to hand it all listening
sockets. When the new process serves, the old one stops accepting and lets its
requests end (shutdown.grace). No connection is refused meanwhile.

If the new process does not serve within a minute, or can't use the
configuration, it is ended and the old one goes on; the exit code is then 1.

SIGUSR2 does the same, and the log says how it went.

The token, where the admin listener wants one, is taken from GOPURA_ADMIN_TOKEN.`,
		Example: `  install -m 755 gopura-1.3.0 /usr/local/bin/gopura && gopura upgrade
  kill -USR2 $(pidof gopura)`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			var now struct {
				Status string `json:"status"`
			}
			if err := a.askFor(upgradeTime+5*time.Second, http.MethodPost, "/api/upgrade", &now); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the new process serves")
			return nil
		}),
	}
	cmd.Flags().StringVar(&a.address, "admin", "127.0.0.1:9900", "the address of the admin listener")
	return cmd
}
