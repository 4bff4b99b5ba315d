package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"

	"gopura/config"
	"gopura/exchange"
	"gopura/gateway"
	"gopura/trial"
)

// pairs are header fields: a list of names and values, or an object.
type pairs []config.Pair

// UnmarshalJSON implements json.Unmarshaler.
func (p *pairs) UnmarshalJSON(text []byte) error {
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] == '[' {
		var list [][2]string
		if err := json.Unmarshal(text, &list); err != nil {
			return fmt.Errorf("headers: a list of [name, value] is expected")
		}
		for _, f := range list {
			*p = append(*p, config.Pair{Name: f[0], Value: f[1]})
		}
		return nil
	}
	var object map[string]string
	if err := json.Unmarshal(text, &object); err != nil {
		return fmt.Errorf("headers: an object of names and values is expected")
	}
	for name, value := range object {
		*p = append(*p, config.Pair{Name: name, Value: value})
	}
	return nil
}

// described is a request that somebody wants explained.
type described struct {
	Method   string                    `json:"method"`
	URL      string                    `json:"url"`
	Headers  pairs                     `json:"headers"`
	Body     string                    `json:"body"`
	Client   string                    `json:"client"`
	As       any                       `json:"as"`
	Services map[string]describeAnswer `json:"services"`
}

// describeAnswer is what a service is to answer.
type describeAnswer struct {
	Status  int    `json:"status"`
	Headers pairs  `json:"headers"`
	Body    string `json:"body"`
	JSON    any    `json:"json"`
	Fails   string `json:"fails"`
}

// explain says what the configuration in force does with a described request, on
// paper: nothing is sent.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	var d described
	if err := read(r, &d); err != nil {
		return err
	}
	x, u, err := d.exchange()
	if err != nil {
		return &refusal{http.StatusBadRequest, "bad_request", err.Error() + "."}
	}
	doc := s.gateway.Document()
	if doc == nil {
		return &refusal{http.StatusServiceUnavailable, "not_ready", "There is no configuration in force yet."}
	}
	if !s.compiling.TryLock() { // compiling takes processor
		return busy()
	}
	defer s.compiling.Unlock()
	rehearsal, err := gateway.Rehearse(doc.Origin().Copy, u)
	if err != nil {
		return err
	}
	defer rehearsal.Close()
	e := rehearsal.Explain(x)
	x.Done()
	return reply(w, e)
}

func busy() error {
	return &refusal{http.StatusTooManyRequests, "busy", "Another such request is being worked on: try again."}
}

// exchange makes the request, and who plays beside it.
func (d *described) exchange() (*exchange.Exchange, gateway.Understudies, error) {
	var u gateway.Understudies
	if d.Method == "" {
		d.Method = "GET"
	}
	if d.Client == "" {
		d.Client = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(d.Client)
	if err != nil {
		return nil, u, fmt.Errorf("client: %q is no IP address", d.Client)
	}
	x, err := trial.NewRequest(d.Method, d.URL, addr)
	if err != nil {
		return nil, u, err
	}
	for _, h := range d.Headers {
		if err := trial.SetHeader(x, h.Name, h.Value); err != nil {
			return nil, u, err
		}
	}
	if d.Body != "" {
		x.Request.Body = exchange.BytesBody([]byte(d.Body))
	}
	if text, ok := d.As.(string); ok && text == "" {
		d.As = nil
	}
	id, err := trial.Identity(d.As)
	if err != nil {
		return nil, u, err
	}
	u.Identity = trial.IdentityUnderstudy(id)
	var answers []config.TestService
	for name, a := range d.Services {
		one, err := trial.Answer(name, a.Status, a.Headers, a.Body, a.JSON, a.Fails)
		if err != nil {
			return nil, u, err
		}
		answers = append(answers, one)
	}
	if len(answers) > 0 {
		u.Service, u.Played = trial.Play(answers), trial.Names(answers)
	}
	return x, u, nil
}
