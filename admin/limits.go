package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"gopura/store"
)

// topKeys is how many of the busiest keys of each limit are shown.
const topKeys = 10

// keyState is what is known of a key, with times in seconds.
type keyState struct {
	Key        string  `json:"key"`
	Known      bool    `json:"known"` // it has been used lately
	Allowed    bool    `json:"allowed"`
	Limit      int64   `json:"limit"`
	Remaining  int64   `json:"remaining"`
	RetryAfter float64 `json:"retry_after_seconds"`
	ResetAfter float64 `json:"reset_after_seconds"`
}

// busyKey is a key among the busiest.
type busyKey struct {
	Key        string  `json:"key"`
	Allowed    int64   `json:"allowed"` // lately, estimated
	Refused    int64   `json:"refused"`
	Limit      int64   `json:"limit"`
	Remaining  int64   `json:"remaining"`
	ResetAfter float64 `json:"reset_after_seconds"`
}

type limitState struct {
	store.LimiterState
	Store string    `json:"store"`
	Top   []busyKey `json:"top"`
}

// limits shows every limit with its busiest keys.
func (s *Server) limits(w http.ResponseWriter, _ *http.Request) error {
	list := []limitState{}
	for _, l := range s.gateway.Limits(topKeys) {
		state := limitState{LimiterState: l.LimiterState, Store: l.Store, Top: []busyKey{}}
		for _, k := range l.Top {
			state.Top = append(state.Top, busyKey{k.Key, k.Allowed, k.Refused, k.Limit, k.Remaining, seconds(k.ResetAfter)})
		}
		list = append(list, state)
	}
	return reply(w, list)
}

// stores shows what limits are counted in.
func (s *Server) stores(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, s.gateway.Stores())
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// limitPath returns what is served at /api/limits/NAME/KEY, both of them
// percent-encoded.
func (s *Server) limitPath(path string) (methods, bool) {
	rest, ok := strings.CutPrefix(path, "/api/limits/")
	if !ok {
		return nil, false
	}
	encodedName, encodedKey, ok := strings.Cut(rest, "/")
	if !ok || strings.Contains(encodedKey, "/") {
		return nil, false
	}
	name, err1 := url.PathUnescape(encodedName)
	key, err2 := url.PathUnescape(encodedKey)
	if err1 != nil || err2 != nil || name == "" {
		return nil, false
	}
	on := func(f func(http.ResponseWriter, store.Limiter, []byte) error) handler {
		return func(w http.ResponseWriter, _ *http.Request) error {
			l := s.gateway.Limit(name)
			if l == nil {
				return &refusal{http.StatusNotFound, "no_limit", "There is no such limit."}
			}
			return f(w, l, []byte(key))
		}
	}
	return methods{http.MethodGet: on(showKey), http.MethodDelete: on(resetKey)}, true
}

func showKey(w http.ResponseWriter, l store.Limiter, key []byte) error {
	d, known := l.Peek(key)
	return reply(w, keyState{string(key), known, d.Allowed, d.Limit, d.Remaining, seconds(d.RetryAfter), seconds(d.ResetAfter)})
}

// resetKey makes the limit forget what a key has used.
func resetKey(w http.ResponseWriter, l store.Limiter, key []byte) error {
	if err := l.Reset(key); err != nil {
		return &refusal{http.StatusServiceUnavailable, "store_unavailable", "The store can't be asked: the key has not been reset."}
	}
	return showKey(w, l, key)
}
