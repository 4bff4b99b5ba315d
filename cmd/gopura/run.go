package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gopura/admin"
	"gopura/config"
	"gopura/gateway"
	"gopura/handover"
	"gopura/telemetry"
)

func newRun() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Run serves a configuration until it is told to stop.

The configuration is read again when one of its files changes (certificates and
keys included), on SIGHUP, and on POST /api/reload of the admin listener. It is
put in force as a whole or not at all: with a problem in the new one, the one in
force stays. Requests in flight end with the one that they began with.

SIGUSR2 starts the binary that lies where this one lay, hands it all listening
sockets, and stops when it serves; if it does not, this one goes on (see gopura
upgrade).

SIGHUP also opens log files anew, for rotation. SIGTERM and SIGINT stop
accepting, let requests in flight end (shutdown.grace) and exit with 0; a second
one exits at once.

Access records go where access_log says; the gateway's own log goes to stderr.`,
		Example: `  gopura run
  gopura run -c /etc/gopura
  kill -HUP $(pidof gopura)`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			taken, err := handover.Inherit()
			if err != nil {
				return fmt.Errorf("sockets that were handed over: %w", err)
			}
			p, err := start(source{load: loader(path), files: []string{path}}, taken, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return p.wait()
		}),
	}
	configFlag(cmd, &path)
	return cmd
}

// process is a running gateway with its admin listener.
type process struct {
	source
	log     *slog.Logger
	gateway *gateway.Gateway
	admin   *admin.Server
	doc     atomic.Pointer[config.Document] // in force
	signals chan os.Signal
	taken   *handover.Taken
	upgrade upgrade
}

// start puts the configuration in force.
func start(from source, taken *handover.Taken, stderr io.Writer) (*process, error) {
	p := &process{source: from, taken: taken, upgrade: upgrade{asked: make(chan chan error)}}
	first, err := p.load()
	if err != nil {
		return nil, err
	}
	level := new(slog.LevelVar)
	// The format is that of the first configuration: a log that changes its
	// form half-way is read by nobody.
	if p.log, err = telemetry.NewLog(telemetry.LogConfig{To: stderr, Format: first.Log.Format, Level: level}); err != nil {
		return nil, err
	}
	if l, err := telemetry.ParseLevel(first.Log.Level); err == nil {
		level.Set(l)
	}
	limitMemory(p.log)
	// From here on a signal is handled, so that none ends a half-started gateway.
	p.signals = make(chan os.Signal, 4)
	signal.Notify(p.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR2)
	p.gateway = gateway.New(gateway.Options{Load: p.load, Log: p.log, LogLevel: level, Build: build(), Prepare: p.prepare, Sockets: taken.Sockets})
	p.admin = admin.New(p.gateway, admin.Options{Log: p.log, Level: level, Sockets: taken.Sockets, Upgrade: p.requestUpgrade})
	if err := p.gateway.Reload(context.Background()); err != nil {
		signal.Stop(p.signals)
		return nil, listenError(err)
	}
	for _, w := range p.gateway.Info().Warnings {
		p.log.Warn("configuration", "at", w.Pos.String(), "path", w.Path, "warning", w.Message)
	}
	for _, name := range taken.Unused() {
		p.log.Warn("a socket that was handed over is not in the configuration, and is closed", "socket", name)
	}
	return p, p.ready()
}

// prepare lets the admin listener follow the configuration.
func (p *process) prepare(doc *config.Document) (commit, abandon func(), err error) {
	swap, abandon, err := p.admin.Prepare(doc)
	if err != nil {
		return nil, nil, err
	}
	return func() {
		swap()
		p.doc.Store(doc)
	}, abandon, nil
}

// wait serves until a signal says to stop, and stops.
func (p *process) wait() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go p.gateway.Watch(ctx, func() []string { return append(p.gateway.Files(), p.files...) })
	go p.takeOver(ctx)
	p.serve(ctx)
	cancel() // no reload and no upgrade from here on
	if p.upgrade.done {
		defer p.leaveAdmin()()
	}
	return p.stop()
}

// leaveAdmin leaves the admin listener to the process that serves, and answers those who have
// asked already. What it returns waits for them.
func (p *process) leaveAdmin() (wait func()) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.admin.Shutdown(ctx)
	}()
	return func() { <-answered }
}

// serve does what signals say until one, or a new process that serves, says to
// stop.
func (p *process) serve(ctx context.Context) {
	for {
		select {
		case s := <-p.signals:
			switch s {
			case syscall.SIGHUP:
				p.hangup(ctx)
			case syscall.SIGUSR2:
				p.beginUpgrade(ctx, nil)
			default:
				p.log.Info("stopping", "signal", s.String(), "grace", p.doc.Load().Shutdown.Grace)
				handover.Notify("STOPPING=1")
				return
			}
		case answer := <-p.upgrade.asked:
			p.beginUpgrade(ctx, answer)
		case r := <-p.upgrade.ended:
			if p.endUpgrade(r) {
				return
			}
		}
	}
}

// hangup reads the configuration again and opens log files anew.
func (p *process) hangup(ctx context.Context) {
	if err := p.gateway.Reload(ctx); err != nil {
		p.log.Error("configuration refused, the one in force stays", "error", err)
	}
	if err := p.gateway.ReopenLogs(); err != nil {
		p.log.Error("opening the access log anew", "error", err)
	}
}

// stop drains and closes everything. A signal meanwhile ends the process.
func (p *process) stop() error {
	done := make(chan struct{})
	defer close(done)
	go p.giveUp(done)
	stop := p.doc.Load().Shutdown
	ctx, cancel := context.WithTimeout(context.Background(), stop.Delay+stop.Grace)
	defer cancel()
	if err := p.gateway.Shutdown(ctx); err != nil {
		p.log.Warn("exchanges were broken off", "error", err)
	}
	// Last, so that probes and metrics are answered while the gateway drains;
	// where another process answers them, it has ended already.
	ctx, cancel = context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p.admin.Shutdown(ctx)
	p.log.Info("stopped")
	signal.Stop(p.signals)
	return nil
}

// giveUp exits when a second signal to stop arrives before done.
func (p *process) giveUp(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-p.signals:
			if s != syscall.SIGHUP && s != syscall.SIGUSR2 {
				p.log.Warn("stopped at once", "signal", s.String())
				os.Exit(exitProblem)
			}
		}
	}
}

// listenError says more plainly that somebody else has the address; the rest
// of the error already names listener, place and address.
func listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w (another process listens there)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w (ports below 1024 need a privilege)", err)
	}
	return err
}
