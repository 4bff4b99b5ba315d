package upstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// The table of what may reach targets twice. The first target fails as given,
// the second answers 200; sent is what both have seen.
func TestRetriesOnlyWhereSafe(t *testing.T) {
	reset := exchange.UpstreamReset.Because(errors.New("after the request was sent"))
	sentStale := exchange.UpstreamStale.Because(errors.New("after the request was sent"))
	unsentStale := exchange.UpstreamStale.Because(errors.New("closed while idle"))
	sentStale.Retry, unsentStale.Retry = false, true
	cases := []struct {
		name   string
		method string
		header string // "Name: value"
		fail   error
		status int
		on     []string
		sent   int
	}{
		{name: "GET, nothing sent", method: "GET", fail: exchange.ConnectFailed.Because(nil), sent: 2},
		{name: "POST, nothing sent", method: "POST", fail: exchange.ConnectFailed.Because(nil), sent: 2},
		{name: "POST, connect timeout", method: "POST", fail: exchange.ConnectTimeout.Because(nil), sent: 2},
		{name: "POST, busy", method: "POST", fail: exchange.TargetBusy.Because(nil), sent: 2},
		{name: "GET, reset", method: "GET", fail: reset, sent: 2},
		{name: "PUT, reset", method: "PUT", fail: reset, sent: 2},
		{name: "DELETE, reset", method: "DELETE", fail: reset, sent: 2},
		{name: "POST, reset", method: "POST", fail: reset, sent: 1},
		{name: "PATCH, reset", method: "PATCH", fail: reset, sent: 1},
		{name: "unknown method, reset", method: "PURGE", fail: reset, sent: 1},
		{name: "method in another case", method: "get", fail: reset, sent: 1},
		{name: "POST with a key, reset", method: "POST", header: "idempotency-key: 1", fail: reset, sent: 2},
		{name: "POST with an empty key", method: "POST", header: "Idempotency-Key: ", fail: reset, sent: 1},
		{name: "GET, reset, not configured", method: "GET", fail: reset, on: []string{"connect"}, sent: 1},
		{name: "GET, timeout by default", method: "GET", fail: exchange.UpstreamTimeout.Because(nil), sent: 1},
		{name: "GET, timeout configured", method: "GET", fail: exchange.UpstreamTimeout.Because(nil), on: []string{"timeout"}, sent: 2},
		{name: "POST, timeout configured", method: "POST", fail: exchange.UpstreamTimeout.Because(nil), on: []string{"timeout"}, sent: 1},
		{name: "GET, 503 by default", method: "GET", status: 503, sent: 1},
		{name: "GET, 503 configured", method: "GET", status: 503, on: []string{"503"}, sent: 2},
		{name: "GET, 502 is not 503", method: "GET", status: 502, on: []string{"503"}, sent: 1},
		{name: "POST, 503 configured", method: "POST", status: 503, on: []string{"503"}, sent: 1},
		{name: "GET, nonsense", method: "GET", fail: exchange.UpstreamMalformed.Because(nil), sent: 1},
		{name: "GET, the client left", method: "GET", fail: exchange.ClientGone.Because(nil), sent: 1},
		{name: "GET, the route's deadline", method: "GET", fail: exchange.ExchangeTimeout.Because(nil), sent: 1},
		{name: "GET, not ours", method: "GET", fail: errors.New("x"), sent: 1},
		{name: "POST, stale and unsent", method: "POST", fail: unsentStale, sent: 2},
		{name: "POST, stale but sent", method: "POST", fail: sentStale, sent: 1},
		{name: "GET, stale but sent", method: "GET", fail: sentStale, sent: 2},
	}
	for _, c := range cases {
		f := newFleet()
		sent := 0
		var targets []string
		f.answer = func(address string, x *exchange.Exchange) error {
			targets = append(targets, address)
			if sent++; sent > 1 {
				return status(200)(x)
			}
			x.Response.Status = c.status
			return c.fail
		}
		s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1, On: c.on}}, Options{Open: f.open})
		x := request(c.method, nil)
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			x.Request.Header.Add(name, value)
		}
		err := s.Serve(x)
		if sent != c.sent || x.Attempts != c.sent {
			t.Errorf("%s: sent %d times, %d attempts, want %d", c.name, sent, x.Attempts, c.sent)
		}
		if sent == 2 && (err != nil || x.Response.Status != 200) {
			t.Errorf("%s: %v %d after a good second attempt", c.name, err, x.Response.Status)
		}
		if sent == 2 && !exchange.UpstreamStale.Is(c.fail) && targets[0] == targets[1] {
			t.Errorf("%s: both attempts went to %s", c.name, targets[0])
		}
		if sent == 1 && err != c.fail {
			t.Errorf("%s: error %v, want the one of the attempt", c.name, err)
		}
		x.Done()
		if n := s.State().InFlight; n != 0 {
			t.Errorf("%s: %d in flight at the end", c.name, n)
		}
	}
}

func TestUpgradeIsNotRepeated(t *testing.T) {
	f := newFleet()
	f.answer = func(string, *exchange.Exchange) error { return exchange.UpstreamReset.Because(nil) }
	s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1}}, Options{Open: f.open})
	x := request("GET", nil)
	x.Request.Upgrade = []byte("websocket")
	s.Serve(x)
	if x.Attempts != 1 {
		t.Errorf("a WebSocket handshake was sent %d times", x.Attempts)
	}
}

func TestNoRetryForNobody(t *testing.T) {
	for name, prepare := range map[string]func(*exchange.Exchange){
		"the client is gone":   func(x *exchange.Exchange) { x.Cancel(context.Canceled) },
		"the deadline is over": func(x *exchange.Exchange) { x.Deadline = time.Now().Add(-time.Second) },
	} {
		f := newFleet()
		f.answer = func(_ string, x *exchange.Exchange) error {
			prepare(x)
			return exchange.ConnectFailed.Because(nil)
		}
		s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 3, Budget: 1}}, Options{Open: f.open})
		if x, _ := do(s); x.Attempts != 1 {
			t.Errorf("%s: %d attempts", name, x.Attempts)
		}
	}
}

// With one target a retry goes to the same one.
func TestRetryOnTheOnlyTarget(t *testing.T) {
	f := newFleet()
	f.at(addr(0)).answers(func(x *exchange.Exchange) error {
		if x.Attempts == 1 {
			return exchange.ConnectFailed.Because(nil)
		}
		return status(200)(x)
	})
	s := mustOpen(t, Settings{Targets: urls(1), Retries: Retries{Attempts: 1, Budget: 1}}, Options{Open: f.open})
	if x, err := do(s); err != nil || x.Attempts != 2 {
		t.Errorf("%v after %d attempts", err, x.Attempts)
	}
}

// A service that is out of retries says so, for the gateway in front of it.
func TestLastFailureIsMarked(t *testing.T) {
	f := newFleet()
	f.answer = func(_ string, x *exchange.Exchange) error { return status(503)(x) }
	s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1, On: []string{"503"}}}, Options{Open: f.open})
	x, _ := do(s)
	if got := string(x.Response.Header.Get(RetryHeader)); got != "no" || x.Attempts != 2 {
		t.Errorf("%s: %q after %d attempts", RetryHeader, got, x.Attempts)
	}
}

// What a target sees of a body, in the first attempt and in the second.
func TestBodyIsSentAgain(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 3<<10) // 48 KiB
	for _, c := range []struct {
		name  string
		body  *pieces
		read  int // pieces that the first attempt reads before it fails
		limit int64
		want  string // of the second attempt; "": there is none
	}{
		{"untouched", &pieces{list: []string{"a", "b"}, sized: true}, 0, 10, "ab"},
		{"untouched and too long to keep", &pieces{list: []string{"abc", "def"}, sized: true}, 0, 2, "abcdef"},
		{"partly sent", &pieces{list: []string{"ab", "cd", "ef"}, sized: true}, 2, 10, "abcdef"},
		{"all sent", &pieces{list: []string{"ab", "cd"}, sized: true}, 3, 10, "abcd"},
		{"all sent, of unknown length", &pieces{list: []string{"ab", "cd"}}, 3, 10, "abcd"},
		{"several buffers", &pieces{list: []string{big[:40000], big[40000:]}}, 2, 64 << 10, big},
		{"longer than the limit", &pieces{list: []string{"abc", "def"}}, 2, 5, ""},
		{"announced longer than the limit", &pieces{list: []string{"abc", "def"}, sized: true}, 1, 5, ""},
		{"broken by the client", &pieces{list: []string{"abc"}, err: exchange.BadBody.Because(nil)}, 2, 10, ""},
		{"nothing is kept", &pieces{list: []string{"abc"}}, 1, 0, ""},
	} {
		f := newFleet()
		got := ""
		f.answer = func(_ string, x *exchange.Exchange) error {
			if x.Attempts == 1 {
				for range c.read {
					x.Request.Body.Next()
				}
				x.Request.Body.Close() // the attempt gives up; the request doesn't
				return exchange.UpstreamReset.Because(nil)
			}
			if n := x.Request.Body.Len(); c.body.sized && n != int64(len(c.want)) {
				t.Errorf("%s: second attempt: length %d", c.name, n)
			}
			got = readAll(t, x.Request.Body)
			return status(200)(x)
		}
		s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1, Body: c.limit}}, Options{Open: f.open})
		x := request("PUT", c.body)
		err := s.Serve(x)
		if c.want == "" {
			if x.Attempts != 1 || !exchange.UpstreamReset.Is(err) {
				t.Errorf("%s: %d attempts, %v; want one", c.name, x.Attempts, err)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%s: second attempt got %d bytes, %v; want %d", c.name, len(got), err, len(c.want))
		}
		if err != nil && c.body.shut == 0 {
			t.Errorf("%s: the client's body is not closed at the end", c.name)
		}
		x.Done()
		if x.Request.Body != exchange.Body(c.body) {
			t.Errorf("%s: the recorder outlives the exchange", c.name)
		}
	}
}

// A transport may answer 503 while it still sends the body. Its view ends with
// the retry, and it can't take from the second attempt.
func TestOldAttemptCannotRead(t *testing.T) {
	f := newFleet()
	var old exchange.Body
	got := ""
	f.answer = func(_ string, x *exchange.Exchange) error {
		if x.Attempts == 1 {
			old = x.Request.Body
			old.Next()
			old.Next()
			old.Next()
			return status(503)(x)
		}
		if p, err := old.Next(); err == nil {
			t.Errorf("the old attempt read %q", p)
		}
		old.Close()
		got = readAll(t, x.Request.Body)
		return status(200)(x)
	}
	s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1, Body: 100, On: []string{"503"}}}, Options{Open: f.open})
	x := request("PUT", &pieces{list: []string{"ab", "cd"}})
	if err := s.Serve(x); err != nil || got != "abcd" {
		t.Errorf("%v, second attempt got %q", err, got)
	}
	x.Done()
}

// While the first attempt's transport waits for the client, there is no retry:
// the piece that it waits for would be lost.
func TestNoRetryWhileTheBodyIsAwaited(t *testing.T) {
	f := newFleet()
	blocked, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	body := &slowBody{blocked: blocked, release: release}
	f.answer = func(_ string, x *exchange.Exchange) error {
		view := x.Request.Body
		go func() { view.Next(); close(ended) }()
		<-blocked
		return status(503)(x)
	}
	s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1, Body: 100, On: []string{"503"}}}, Options{Open: f.open})
	x := request("PUT", body)
	if err := s.Serve(x); err != nil || x.Attempts != 1 || x.Response.Status != 503 {
		t.Errorf("%v, %d after %d attempts; want the first answer", err, x.Response.Status, x.Attempts)
	}
	close(release)
	<-ended
	x.Done()
}

type slowBody struct {
	pieces
	blocked, release chan struct{}
}

func (b *slowBody) Next() ([]byte, error) {
	close(b.blocked)
	<-b.release
	return []byte("late"), nil
}

// A piece from memory stays whole while the transport works on it, though the
// response head has come and nothing need be kept any longer.
func TestKeptPieceOutlivesTheHead(t *testing.T) {
	f := newFleet()
	var piece []byte
	var body exchange.Body
	f.answer = func(_ string, x *exchange.Exchange) error {
		if x.Attempts == 1 {
			x.Request.Body.Next()
			return exchange.UpstreamReset.Because(nil)
		}
		body = x.Request.Body
		piece, _ = body.Next()
		return status(200)(x)
	}
	s := mustOpen(t, Settings{Targets: urls(2), Retries: Retries{Attempts: 1, Budget: 1, Body: 100}}, Options{Open: f.open})
	x := request("PUT", &pieces{list: []string{"hello", " world"}})
	if err := s.Serve(x); err != nil {
		t.Fatal(err)
	}
	other := exchange.NewBuffer() // would be the kept one, had it been given back
	copy(other.B[:], "XXXXXXXX")
	if string(piece) != "hello" {
		t.Errorf("the piece became %q", piece)
	}
	other.Release()
	if rest := readAll(t, body); rest != " world" {
		t.Errorf("the rest is %q", rest)
	}
	x.Done()
}
