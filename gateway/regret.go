package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gopura/config"
	"gopura/lifetime"
	"gopura/telemetry"
)

// regretTick is how often a configuration on trial is looked at.
const regretTick = 500 * time.Millisecond

// jump is how many times the share of errors before a reload the share after it
// must be: what failed before is not the new configuration's fault.
const jump = 2

// watchErrors takes a new configuration back when errors jump, as long as
// configurations want that.
func (c *compiler) watchErrors() error {
	if c.dry || c.doc.Reload.Rollback == nil {
		return nil
	}
	_, err := lifetime.Hold(&c.g.pool, c.s.scope, "rollback", func() (struct{}, func(), error) {
		ctx, stop := context.WithCancel(context.Background())
		r := &regret{g: c.g, failures: telemetry.NewFailures(c.g.metrics)}
		go r.run(ctx)
		return struct{}{}, stop, nil
	})
	return err
}

// regret judges new configurations.
type regret struct {
	g        *Gateway
	failures *telemetry.Failures

	generation uint64   // that was in force at the last look
	before     []passed // what passed lately, oldest first
	trial      *trial   // nil: nothing is on trial
}

// passed is what passed in a tick.
type passed struct{ requests, failures uint64 }

func (p passed) share() float64 {
	if p.requests == 0 {
		return 0
	}
	return float64(p.failures) / float64(p.requests)
}

// trial is a configuration that has come into force lately.
type trial struct {
	since passed
	usual float64 // share of errors before it
	until time.Time
}

func (r *regret) run(ctx context.Context) {
	t := time.NewTicker(regretTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			r.look(now)
		}
	}
}

// look is one tick. The rule is that of the configuration in force.
func (r *regret) look(now time.Time) {
	var p passed
	p.requests, p.failures = r.failures.Look()
	current := r.g.current.Get()
	if current == nil || current.Value.doc.Reload.Rollback == nil {
		r.trial, r.before = nil, nil
		return
	}
	rule, s := current.Value.doc.Reload.Rollback, current.Value
	if s.generation != r.generation {
		r.begin(rule, s.generation, now)
	}
	if r.trial == nil {
		r.remember(p, rule)
		return
	}
	t := r.trial
	t.since.requests += p.requests
	t.since.failures += p.failures
	if reason := t.verdict(rule); reason != "" {
		r.trial = nil
		r.g.takeBack(s.generation, reason)
		return
	}
	if now.After(t.until) {
		r.trial = nil
	}
}

// begin puts a new configuration on trial; the first one, and one that was rolled
// back to, has nothing better before it.
func (r *regret) begin(rule *config.RollbackRule, generation uint64, now time.Time) {
	first := r.generation == 0 && r.g.history.before(generation) == 0
	r.generation, r.trial = generation, nil
	if first || r.g.history.rolledBack() != nil {
		return
	}
	var usual passed
	for _, p := range r.before {
		usual.requests += p.requests
		usual.failures += p.failures
	}
	r.trial = &trial{usual: usual.share(), until: now.Add(rule.Within)}
	r.before = nil
}

func (r *regret) remember(p passed, rule *config.RollbackRule) {
	r.before = append(r.before, p)
	if most := int(rule.Within / regretTick); len(r.before) > most {
		r.before = append(r.before[:0], r.before[len(r.before)-most:]...)
	}
}

// verdict says why the configuration is taken back; empty: it is not.
func (t *trial) verdict(rule *config.RollbackRule) string {
	share := t.since.share()
	if t.since.requests < uint64(rule.Minimum) || share <= float64(rule.Errors) || share <= jump*t.usual {
		return ""
	}
	return fmt.Sprintf("errors rose from %.1f %% to %.1f %% of %d requests", t.usual*100, share*100, t.since.requests)
}

// takeBack rolls back, if that generation is still in force.
func (g *Gateway) takeBack(generation uint64, reason string) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	current := g.current.Get()
	if current == nil || current.Value.generation != generation {
		return
	}
	if err := g.rollback(0, reason); err != nil && !errors.Is(err, ErrNoGeneration) {
		g.log.Error("errors jumped, and the configuration before can't be put in force again", "generation", generation, "reason", reason, "error", err)
	}
}
