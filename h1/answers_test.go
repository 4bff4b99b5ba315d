package h1

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is an upstream that answers the request for /case with the bytes of
// the current case, and every other request with its target.
type scripted struct {
	*origin
	mu     sync.Mutex
	steps  []string
	plays  int            // how often the script has been played
	done   chan struct{}  // closed when the script has been played
	served map[string]int // target to number of the connection
}

func startScripted(t testing.TB) *scripted {
	s := &scripted{served: map[string]int{}}
	s.origin = startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			s.mu.Lock()
			s.served[h.target] = c.number
			steps, done := s.steps, s.done
			s.mu.Unlock()
			if h.target != "/case" {
				c.answer(h.target)
				continue
			}
			end := !c.play(steps)
			s.mu.Lock()
			if s.plays++; s.plays == 1 {
				close(done)
			}
			s.mu.Unlock()
			if end {
				return
			}
		}
	})
	return s
}

// play sends what a script says, and reports whether the connection goes on.
func (c *originConn) play(steps []string) bool {
	for _, s := range steps {
		switch s {
		case "> GET", "> HEAD", "> POST", "> UPGRADE", "> HTTP/1.0":
		case "> pause":
			time.Sleep(30 * time.Millisecond)
		case "> close":
			return false
		case "> reset":
			time.Sleep(10 * time.Millisecond) // a reset overtakes what is on its way
			c.Conn.(*net.TCPConn).SetLinger(0)
			return false
		default:
			if strings.HasPrefix(s, "> ") {
				panic("unknown step " + s)
			}
			c.say("%s", s)
		}
	}
	return true
}

// TestAnswers lets an upstream send every case of testdata/answers.
//
// "--- 200" is followed by the body that the client gets, whole; "--- aborted
// 200" means that the client sees the answer break; "--- refused 502 code" that
// it never saw anything of it. "kept" and "dropped" say whether the connection
// may serve the next client, who must in any case get its own answer.
func TestAnswers(t *testing.T) {
	up := startScripted(t)
	f, tr := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) {
		c.MaxIdle, c.ResponseTimeout = 1, 500*time.Millisecond
	})
	cases := loadCases(t, "answers")
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			done := make(chan struct{})
			up.mu.Lock()
			up.steps, up.done, up.plays = tc.steps, done, 0
			up.mu.Unlock()
			c := dialWire(t, f.addr)
			defer c.Close()
			method := sendCase(c, tc.steps)
			kept := "dropped"
			for _, e := range tc.expect {
				checkAnswer(t, c, method, e)
				if e.words[0] == "kept" {
					kept = "kept"
				}
			}
			<-done
			time.Sleep(time.Millisecond)
			probe := dialWire(t, f.addr)
			id := fmt.Sprintf("/probe?id=%d", i)
			if r := probe.get(id); r.body != id {
				t.Errorf("the next client asked for %s and got %q", id, r.body)
			}
			probe.Close()
			// The next case is asked over a connection that was kept.
			eventually(t, "the connection of the probe is idle", func() bool { _, idle := tr.Stats(); return idle == 1 })
			up.mu.Lock()
			same := up.served["/case"] == up.served[id]
			if up.plays != 1 {
				t.Errorf("the upstream was asked %d times", up.plays)
			}
			up.mu.Unlock()
			if same != (kept == "kept") {
				t.Errorf("the connection served the next client: %v, want it %s", same, kept)
			}
		})
	}
	t.Logf("%d cases", len(cases))
	if len(cases) < 60 {
		t.Errorf("only %d cases", len(cases))
	}
}

func sendCase(c *wireClient, steps []string) (method string) {
	method = "GET"
	kind := ""
	if len(steps) > 0 {
		kind = steps[0]
	}
	switch kind {
	case "> HEAD":
		method = "HEAD"
		c.send("HEAD /case HTTP/1.1\r\nHost: a\r\n\r\n")
	case "> POST":
		method = "POST"
		c.send("POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	case "> UPGRADE":
		c.send("GET /case HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	case "> HTTP/1.0":
		c.send("GET /case HTTP/1.0\r\nHost: a\r\n\r\n")
	default:
		c.send("GET /case HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	return method
}

func checkAnswer(t *testing.T, c *wireClient, method string, e expectation) {
	t.Helper()
	switch e.words[0] {
	case "refused":
		r, err := c.read(method)
		if err != nil || fmt.Sprint(r.status) != e.words[1] || r.code != e.words[2] {
			t.Errorf("answer %d %s %q (%v), want %s %s", r.status, r.code, r.body, err, e.words[1], e.words[2])
		}
	case "aborted":
		r, err := c.read(method)
		if err == nil || fmt.Sprint(r.status) != e.words[1] {
			t.Errorf("answer %d %q (%v), want a broken %s", r.status, r.body, err, e.words[1])
		}
	case "kept", "dropped":
	default:
		r, err := c.read(method)
		if err != nil || fmt.Sprint(r.status) != e.words[0] || r.body != e.bytes {
			t.Errorf("answer %d %s %q (%v), want %s %q", r.status, r.code, r.body, err, e.words[0], e.bytes)
		}
		want := "[" + strings.Join(e.words[1:], " ") + "]"
		if got := fmt.Sprint(r.interim); got != want {
			t.Errorf("interim answers %s, want %s", got, want)
		}
	}
}
