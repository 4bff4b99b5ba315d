package admin

import (
	"context"
	"net/http"
)

// asked says by what right a request is served, for those that last long: the
// token may change and the listener may close meanwhile.
type asked struct {
	l *listener
	g *guard
}

type askedKey struct{}

// by notes how a request was let in.
func by(r *http.Request, l *listener, g *guard) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), askedKey{}, asked{l, g}))
}

func askedBy(r *http.Request) asked {
	a, _ := r.Context().Value(askedKey{}).(asked)
	return a
}

// mayStill reports whether the right that was checked is still the one in force.
func (a asked) mayStill() bool {
	if a.l == nil {
		return false
	}
	now := a.l.guard.Load()
	if now.token == nil || a.g.token == nil {
		return now.token == a.g.token
	}
	return *now.token == *a.g.token
}

// ending is closed when the listener closes.
func (a asked) ending() <-chan struct{} {
	if a.l == nil {
		return nil
	}
	return a.l.ending
}
