package admin

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"gopura/config"
	"gopura/gateway"
)

// maxTries is how many requests are tried at a time.
const maxTries = 4

// tried is what came of a request, as the API shows it.
type tried struct {
	ID          string      `json:"id,omitempty"`
	Status      int         `json:"status,omitempty"`
	Protocol    string      `json:"protocol,omitempty"`
	Headers     [][2]string `json:"headers"`
	Body        string      `json:"body"`
	Base64      bool        `json:"base64"`
	Truncated   bool        `json:"truncated"`
	Bytes       int         `json:"bytes"`
	Duration    float64     `json:"duration_ms"`
	Explanation string      `json:"explanation,omitempty"`
	Error       string      `json:"error,omitempty"`
}

// try sends a real request through the gateway's own front end.
func (s *Server) try(w http.ResponseWriter, r *http.Request) error {
	var want struct {
		Listener string `json:"listener"`
		Method   string `json:"method"`
		Path     string `json:"path"`
		Host     string `json:"host"`
		Headers  pairs  `json:"headers"`
		Body     string `json:"body"`
		Explain  bool   `json:"explain"`
	}
	if err := read(r, &want); err != nil {
		return err
	}
	if want.Method == "" {
		want.Method = http.MethodGet
	}
	if want.Host == "" {
		want.Host = "localhost"
	}
	t := gateway.Trial{Listener: want.Listener, Method: want.Method, Target: want.Path, Host: want.Host, Header: want.Headers, Body: []byte(want.Body)}
	t.Client, _ = netip.ParseAddrPort(r.RemoteAddr)
	if want.Explain {
		value, _, err := s.gateway.DebugToken(time.Minute, gateway.DebugScope{})
		if err != nil {
			return err
		}
		t.Header = append(t.Header, config.Pair{Name: gateway.DebugHeader, Value: value})
	}
	select {
	case s.tries <- struct{}{}:
		defer func() { <-s.tries }()
	default:
		return busy()
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * writeTimeout))
	begin := time.Now()
	a, err := s.gateway.Try(r.Context(), t)
	if errors.Is(err, gateway.ErrBadTrial) {
		return &refusal{http.StatusBadRequest, "bad_request", err.Error() + "."}
	}
	if err != nil {
		return reply(w, tried{Headers: [][2]string{}, Error: err.Error(), Duration: rounded(time.Since(begin).Seconds() * 1e3)})
	}
	out := show(a)
	if out.Explanation != "" {
		s.awaitExplanation(out.Explanation)
	}
	return reply(w, out)
}

// awaitExplanation waits until an explanation is there: it is complete a moment
// after the last byte of the answer that names it.
func (s *Server) awaitExplanation(id string) {
	for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		if slices.ContainsFunc(s.gateway.Explanations(), func(e *gateway.LiveExplanation) bool { return e.ID == id }) {
			return
		}
	}
}

func show(a *gateway.Tried) tried {
	out := tried{Status: a.Status, Protocol: a.Protocol, Headers: [][2]string{}, Truncated: a.Truncated, Bytes: len(a.Body), Duration: rounded(a.Took.Seconds() * 1e3)}
	for _, h := range a.Header {
		out.Headers = append(out.Headers, [2]string{h.Name, h.Value})
		switch h.Name {
		case "X-Request-Id":
			out.ID = h.Value
		case gateway.ExplanationHeader:
			out.Explanation = h.Value
		}
	}
	if out.Body = string(a.Body); !utf8.Valid(a.Body) {
		out.Body, out.Base64 = base64.StdEncoding.EncodeToString(a.Body), true
	}
	return out
}
