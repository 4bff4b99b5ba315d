package h1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A wireCase is one case of testdata/wire or testdata/answers.
//
//	=== name
//	bytes, where \r \n \t \\ \xNN are escapes, \*{1000:A} repeats A,
//	and the line breaks of the file itself count for nothing
//	> a step between bytes (answers only): pause, close, reset
//	--- what has to happen
//	bytes that go with it
type wireCase struct {
	file, name string
	line       int
	bytes      string   // all the input, steps left out
	steps      []string // input pieces and "> step" lines in order
	expect     []expectation
}

type expectation struct {
	words []string
	bytes string
}

func loadCases(t testing.TB, folder string) (cases []wireCase) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range strings.Split(string(b), "\n") {
			at := fmt.Sprintf("%s:%d", f, i+1)
			switch c := len(cases) - 1; {
			case strings.HasPrefix(l, "# ") || l == "#":
			case strings.HasPrefix(l, "=== "):
				cases = append(cases, wireCase{file: filepath.Base(f), name: l[4:], line: i + 1})
			case l == "":
			case c < 0:
				t.Fatalf("%s: text before the first case", at)
			case strings.HasPrefix(l, "--- "):
				cases[c].expect = append(cases[c].expect, expectation{words: strings.Fields(l[4:])})
			case len(cases[c].expect) > 0:
				e := &cases[c].expect[len(cases[c].expect)-1]
				e.bytes += unescape(t, at, l)
			case strings.HasPrefix(l, "> "):
				cases[c].steps = append(cases[c].steps, l)
			default:
				s := unescape(t, at, l)
				cases[c].bytes += s
				if n := len(cases[c].steps); n > 0 && !strings.HasPrefix(cases[c].steps[n-1], "> ") {
					cases[c].steps[n-1] += s
				} else {
					cases[c].steps = append(cases[c].steps, s)
				}
			}
		}
	}
	for _, c := range cases {
		if len(c.expect) == 0 {
			t.Errorf("%s:%d: nothing expected", c.file, c.line)
		}
	}
	return cases
}

func unescape(t testing.TB, at, s string) string {
	t.Helper()
	var out strings.Builder
	for len(s) > 0 {
		if s[0] != '\\' || len(s) < 2 {
			out.WriteByte(s[0])
			s = s[1:]
			continue
		}
		n := 2
		switch s[1] {
		case 'r':
			out.WriteByte('\r')
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case '\\':
			out.WriteByte('\\')
		case 's':
			out.WriteByte(' ')
		case 'x':
			v, err := strconv.ParseUint(s[2:4], 16, 8)
			if err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			out.WriteByte(byte(v))
			n = 4
		case '*':
			end := strings.IndexByte(s, '}')
			count, what, _ := strings.Cut(s[3:end], ":")
			k, err := strconv.Atoi(count)
			if err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			out.WriteString(strings.Repeat(unescape(t, at, what), k))
			n = end + 1
		default:
			t.Fatalf("%s: unknown escape %q", at, s[:2])
		}
		s = s[n:]
	}
	return out.String()
}

// recorder is an upstream that answers each request with its target and keeps
// what it has heard.
type recorder struct {
	*origin
	mu  sync.Mutex
	log []heard
}

func startRecorder(t testing.TB) *recorder {
	r := &recorder{}
	r.origin = startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if h.raw != "" {
				r.mu.Lock()
				r.log = append(r.log, h)
				r.mu.Unlock()
			}
			if !ok {
				return
			}
			if h.method == "HEAD" {
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
				continue
			}
			c.answer(h.target)
		}
	})
	return r
}

func (r *recorder) since(n int) []heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]heard(nil), r.log[n:]...)
}

// TestWire sends every case of testdata/wire through a server, and a transport
// with a single kept connection, to an upstream that records what it gets.
//
// "--- forwarded" is followed by what the upstream must have received, byte by
// byte; the client must get an answer for each request in it, and when the
// connection goes on, a further request on it must be understood as such.
// "--- refused 400 code" means that answer, then the end of the connection, and
// nothing at the upstream; with "broken", the upstream may have seen the start
// of a message that never became whole.
func TestWire(t *testing.T) {
	up := startRecorder(t)
	f, _ := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) {
		s.Limits = Limits{Head: 32 << 10, Fields: 100, Target: 8 << 10}
		c.MaxIdle = 1
	})
	cases := loadCases(t, "wire")
	names := map[string]bool{}
	for i, tc := range cases {
		if names[tc.file+tc.name] {
			t.Errorf("%s: two cases named %q", tc.file, tc.name)
		}
		names[tc.file+tc.name] = true
		t.Run(strings.TrimSuffix(tc.file, ".txt")+"/"+tc.name, func(t *testing.T) {
			before := len(up.since(0))
			runWireCase(t, f, up, tc, before)
			probe := dialWire(t, f.addr)
			id := fmt.Sprintf("/probe?id=%d", i)
			start := time.Now()
			if r := probe.get(id); r.body != id {
				t.Errorf("the next client asked for %s and got the answer for %s", id, r.body)
			}
			if d := time.Since(start); d > atOnce {
				t.Errorf("the next client waited %v", d)
			}
			probe.Close()
		})
	}
	t.Logf("%d cases", len(cases))
	if len(cases) < 170 {
		t.Errorf("only %d cases", len(cases))
	}
}

func runWireCase(t *testing.T, f *front, up *recorder, tc wireCase, before int) {
	c := dialWire(t, f.addr)
	defer c.Close()
	go io.WriteString(c, tc.bytes) // the refusal may come before all of it is taken
	method := "GET"
	if strings.HasPrefix(tc.bytes, "HEAD ") {
		method = "HEAD"
	}
	forwarded, closed := "", false
	for _, e := range tc.expect {
		switch e.words[0] {
		case "forwarded":
			forwarded = e.bytes
			n := 1
			if len(e.words) > 1 {
				n, _ = strconv.Atoi(e.words[1])
			}
			for i := range n {
				r, err := c.read(method)
				if err != nil || r.status != 200 {
					t.Fatalf("answer %d: %d %s (%v), want 200", i+1, r.status, r.code, err)
				}
				closed = r.close
			}
		case "closes":
			if !closed {
				t.Error("the connection goes on, want Connection: close")
			}
		case "interim":
		case "refused":
			wantRefused(t, c, e.words[1:])
			closed = true
		case "silent":
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if b, err := c.ended(); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %q (%v), want the end of the connection", b, err)
			}
			closed = true
		default:
			t.Fatalf("unknown expectation %q", e.words)
		}
	}
	after := ""
	if !closed {
		if r := c.get("/after"); r.body != "/after" {
			t.Errorf("a further request on the connection got %q", r.body)
		}
		after = "GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
	} else if b, err := c.ended(); len(b) > 0 || err != nil {
		t.Errorf("behind the last answer: %q, %v", b, err)
	}
	checkHeard(t, up, before, forwarded+after, strings.Join(tc.expect[len(tc.expect)-1].words, " "))
}

func wantRefused(t *testing.T, c *wireClient, words []string) {
	t.Helper()
	r, err := c.read("GET")
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if fmt.Sprint(r.status) != words[0] || r.code != words[1] {
		t.Errorf("refused with %d %s, want %s %s", r.status, r.code, words[0], words[1])
	}
	if !r.close {
		t.Error("the refusal lacks Connection: close")
	}
}

func checkHeard(t *testing.T, up *recorder, before int, want, last string) {
	t.Helper()
	got, broken := "", 0
	if strings.HasSuffix(last, " broken") {
		time.Sleep(20 * time.Millisecond) // the upstream learns of the abort by itself
	}
	for _, h := range up.since(before) {
		if h.broken {
			broken++
			continue
		}
		got += h.raw
	}
	if got != want {
		t.Errorf("the upstream received\n%q\nwant\n%q", got, want)
	}
	if broken > 0 && !strings.HasSuffix(last, " broken") {
		t.Errorf("the upstream received %d broken messages", broken)
	}
}
