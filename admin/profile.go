package admin

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// maxProfile is how long a profile may last.
const maxProfile = 5 * time.Minute

// addProfiles adds what `go tool pprof` reads.
func addProfiles(t map[string]methods) {
	for path, h := range map[string]http.Handler{
		"/debug/pprof/":             http.HandlerFunc(pprof.Index),
		"/debug/pprof/profile":      http.HandlerFunc(pprof.Profile),
		"/debug/pprof/trace":        http.HandlerFunc(pprof.Trace),
		"/debug/pprof/symbol":       http.HandlerFunc(pprof.Symbol),
		"/debug/pprof/allocs":       pprof.Handler("allocs"),
		"/debug/pprof/block":        pprof.Handler("block"),
		"/debug/pprof/goroutine":    pprof.Handler("goroutine"),
		"/debug/pprof/heap":         pprof.Handler("heap"),
		"/debug/pprof/mutex":        pprof.Handler("mutex"),
		"/debug/pprof/threadcreate": pprof.Handler("threadcreate"),
	} {
		t[path] = methods{http.MethodGet: profile(h)}
	}
}

// profile gives a profile the time that it was asked to last.
func profile(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		last := 30 * time.Second // what pprof takes when not told
		if text := r.URL.Query().Get("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || seconds < 0 || seconds > maxProfile.Seconds() {
				return &refusal{http.StatusBadRequest, "bad_seconds", "seconds is a number up to 300."}
			}
			last = time.Duration(seconds * float64(time.Second))
		}
		until := time.Now().Add(last + writeTimeout)
		c := http.NewResponseController(w)
		c.SetWriteDeadline(until)
		c.SetReadDeadline(until)
		h.ServeHTTP(w, r)
		return nil
	}
}
