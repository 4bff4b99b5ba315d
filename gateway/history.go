package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gopura/config"
)

// Bounds of the history. The configuration in force and the one before it are
// kept however large they are.
const (
	maxHistory     = 32
	maxHistoryText = 16 << 20 // bytes of all texts together
)

// Entry is a configuration that is or was in force.
type Entry struct {
	Generation   uint64    `json:"generation"`
	Hash         string    `json:"hash"`
	Applied      time.Time `json:"applied"` // the last time that it was put in force
	How          string    `json:"how"`     // start, reload, files changed, rollback
	RolledBackTo uint64    `json:"rolled_back_to,omitempty"`
	Files        []string  `json:"files"`
	Routes       int       `json:"routes"`
	Services     int       `json:"services"`
	Warnings     int       `json:"warnings"`
	Changes      int       `json:"changes"` // what it did differently from the one before
	Alarms       int       `json:"alarms"`  // of them, how many lost a protection

	origin *config.Origin
}

// RolledBack says that an earlier configuration is in force, not the one that
// the files describe.
type RolledBack struct {
	From   uint64    `json:"from"`
	To     uint64    `json:"to"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Errors of Rollback and of what looks at earlier configurations.
var (
	ErrNoGeneration = errors.New("there is no such generation in the history")
	ErrInForce      = errors.New("that configuration is in force")
)

// How a configuration came into force.
const (
	byStart    = "start"
	byReload   = "reload"
	byFiles    = "files changed"
	byRollback = "rollback"
)

// history are the configurations that were in force, in memory: whoever wants
// to keep them longer has a repository.
type history struct {
	mu      sync.Mutex
	entries []*Entry // oldest first
	back    *RolledBack
	seen    *config.Origin // what the files said when they were read last
}

// note takes in the configuration that has come into force.
func (h *history) note(s *snapshot, how string, back *RolledBack, changes []Change) {
	e := &Entry{
		Generation: s.generation, Hash: s.hash, Applied: s.at, How: how, origin: s.doc.Origin(), Files: s.doc.Origin().Names(),
		Routes: len(s.doc.Routes), Services: len(s.doc.Services), Warnings: len(s.warnings), Changes: len(changes),
	}
	for _, c := range changes {
		e.Alarms += len(c.Alarms)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.back = back
	if how == byRollback && back != nil {
		e.RolledBackTo = back.To
	}
	if n := len(h.entries); n > 0 && h.entries[n-1].Generation == e.Generation { // the same again
		last := h.entries[n-1]
		last.Applied, last.origin, last.Warnings = e.Applied, e.origin, e.Warnings
		return
	}
	h.entries = append(h.entries, e)
	size := 0
	for i := len(h.entries) - 1; i >= 0; i-- {
		if size += h.entries[i].origin.Size(); len(h.entries)-i > 2 && (size > maxHistoryText || len(h.entries)-i > maxHistory) {
			h.entries = slices.Clone(h.entries[i+1:])
			break
		}
	}
}

// find returns an entry, or ErrNoGeneration.
func (h *history) find(generation uint64) (Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		if e.Generation == generation {
			return *e, nil
		}
	}
	return Entry{}, fmt.Errorf("generation %d: %w", generation, ErrNoGeneration)
}

// before returns the generation that came before one, 0 when none is known.
func (h *history) before(generation uint64) (found uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		if e.Generation < generation {
			found = e.Generation
		}
	}
	return found
}

func (h *history) rolledBack() *RolledBack {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.back
}

// says reports whether the files say that.
func (h *history) says(o *config.Origin) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen != nil && h.seen.Same(o)
}

// look notes what the files say, and reports whether that is what they said
// before.
func (h *history) look(o *config.Origin) (same bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	same = h.seen != nil && h.seen.Same(o)
	h.seen = o
	return same
}

// History returns the configurations that are known, the one in force first,
// and whether an earlier one has been put in force again.
func (g *Gateway) History() ([]Entry, *RolledBack) {
	g.history.mu.Lock()
	defer g.history.mu.Unlock()
	list := make([]Entry, 0, len(g.history.entries))
	for _, e := range slices.Backward(g.history.entries) {
		list = append(list, *e)
	}
	return list, g.history.back
}

// Recall returns an entry with its document as it was, which serves nothing.
func (g *Gateway) Recall(generation uint64) (Entry, *config.Document, error) {
	e, err := g.history.find(generation)
	if err != nil {
		return e, nil, err
	}
	doc, err := e.origin.Copy()
	return e, doc, err
}

// Before returns the generation that came before one; 0: none is known.
func (g *Gateway) Before(generation uint64) uint64 { return g.history.before(generation) }

// Rollback puts an earlier configuration in force again; generation 0 is the one
// before the one in force. Its texts are those of then, what they refer to
// (variables, files, certificates) is as it is now: a rollback takes back no
// change of a secret. It gets a generation of its own, and stays until the text of
// the files changes, or somebody asks for a reload.
func (g *Gateway) Rollback(ctx context.Context, generation uint64, reason string) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	return g.rollback(generation, reason)
}

func (g *Gateway) rollback(generation uint64, reason string) error {
	current := g.current.Get()
	if current == nil {
		return ErrNoGeneration
	}
	if generation == 0 {
		from := current.Value.generation
		if back := g.history.rolledBack(); back != nil {
			from = back.To // once more goes further back, not forth again
		}
		if generation = g.history.before(from); generation == 0 {
			return fmt.Errorf("before generation %d: %w", from, ErrNoGeneration)
		}
	}
	e, err := g.history.find(generation)
	if err != nil {
		return err
	}
	if e.Hash == current.Value.hash {
		return ErrInForce
	}
	back := &RolledBack{From: current.Value.generation, To: generation, At: time.Now(), Reason: reason}
	if g.history.says(e.origin) {
		back = nil // it is what the files say
	}
	if err := g.apply(e.origin.Again, byRollback, back); err != nil {
		return fmt.Errorf("generation %d can't be put in force again: %w", generation, err)
	}
	g.metrics.Rollbacks.Inc()
	g.log.Warn("an earlier configuration is in force again, until the files change", "generation", generation, "from", current.Value.generation, "reason", reason)
	return nil
}
