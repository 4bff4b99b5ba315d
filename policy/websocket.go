package policy

import (
	"errors"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const websocketDoc = "Bounds WebSockets, over HTTP/1.1 and HTTP/2: which pages may open one, how large a message is, how long one may be silent and how long it may last. " +
	"Frames are passed on as they come; only what stands in front of them is read. What is ended is ended with a close code: 1001 for idle, lifetime, a shutdown and a route that a reload has removed, " +
	"1009 for a message that is too large, 1002 for what is no WebSocket. Requests that open none pass."

// WebSocket is the settings of websocket.
type WebSocket struct {
	Pos        config.Pos    `yaml:"-"`
	Origins    []Origin      `yaml:"origins" one:"true" doc:"The origins whose pages may open one, as in cors; others get 403 (cors_refused). None: any. Programs, which send no Origin, are not affected."`
	Idle       time.Duration `yaml:"idle" min:"0" doc:"How long there may be no message, either way; 0: for ever."`
	Lifetime   time.Duration `yaml:"lifetime" min:"0" doc:"How long one may last; 0: for ever."`
	MaxMessage config.Size   `yaml:"max_message" min:"0" max:"4GiB" doc:"Bytes of one message, either way; 0: no limit."`
	Ping       time.Duration `yaml:"ping" min:"0" doc:"After so long without a frame to the client the gateway sends a ping, which keeps it from being forgotten on the way. A client that has answered nothing by the next is gone. 0: never."`
}

var errWebSocketOrigin = errors.New("a page of this origin may not open a WebSocket here")

// Compile implements Spec.
func (s *WebSocket) Compile(env *Env) (exchange.Middleware, error) {
	var origins []originPattern
	for i := range s.Origins {
		p, err := parseOrigin(&s.Origins[i])
		if err != nil {
			return nil, &Fault{Path: "origins", Pos: s.Origins[i].Pos, Err: err}
		}
		origins = append(origins, p)
	}
	terms := &socketTerms{idle: s.Idle, lifetime: s.Lifetime, ping: s.Ping, message: int64(s.MaxMessage)}
	sockets, route := env.Sockets, env.Route
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if !exchange.EqualFold(x.Request.Upgrade, "websocket") {
				return next.Serve(x)
			}
			if !welcome(origins, &x.Request.Header) {
				return exchange.CORSRefused.Because(errWebSocketOrigin)
			}
			// What is negotiated between the ends changes payloads, never the frames'
			// heads; a message counts as it travels.
			if err := next.Serve(x); err != nil || x.Response.Tunnel == nil {
				return err
			}
			t := openSocket(x.Response.Tunnel, terms, x.Cancel)
			x.Response.Tunnel = t
			if sockets != nil {
				sockets.add(t, route)
			}
			x.OnDone(func(x *exchange.Exchange) {
				t.retire()
				if why := t.why.Load(); why != nil {
					x.Err = why
				}
				if sockets != nil {
					sockets.remove(t)
				}
			})
			return nil
		})
	}, nil
}

// welcome reports whether the page that opens a WebSocket may. A browser always
// says its origin (RFC 6455 §4.1), once.
func welcome(origins []originPattern, h *exchange.Header) bool {
	origin := h.Get("Origin")
	if len(origins) == 0 || origin == nil {
		return true
	}
	if h.Count("Origin") > 1 {
		return false
	}
	for i := range origins {
		if origins[i].matches(origin) {
			return true
		}
	}
	return false
}
