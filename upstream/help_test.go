package upstream

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"gopura/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is the targets that a test pretends to have, by address.
type fleet struct {
	mu      sync.Mutex
	targets map[string]*fakeTarget
	answer  func(address string, x *exchange.Exchange) error // of targets that have no answer of their own
}

// fakeTarget is a Transport without a network.
type fakeTarget struct {
	address string
	fleet   *fleet
	calls   atomic.Int64
	opened  atomic.Int64
	closed  atomic.Int64
	answer  atomic.Pointer[func(x *exchange.Exchange) error]
}

func newFleet() *fleet { return &fleet{targets: map[string]*fakeTarget{}} }

func (f *fleet) open(s TransportSpec) Transport {
	t := f.at(s.Address)
	t.opened.Add(1)
	return t
}

func (f *fleet) at(address string) *fakeTarget {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.targets[address]
	if t == nil {
		t = &fakeTarget{address: address, fleet: f}
		f.targets[address] = t
	}
	return t
}

func (t *fakeTarget) answers(f func(x *exchange.Exchange) error) { t.answer.Store(&f) }

func (t *fakeTarget) Serve(x *exchange.Exchange) error {
	t.calls.Add(1)
	if f := t.answer.Load(); f != nil {
		return (*f)(x)
	}
	if t.fleet.answer != nil {
		return t.fleet.answer(t.address, x)
	}
	x.Response.Status = 200
	return nil
}

func (t *fakeTarget) Close() error { t.closed.Add(1); return nil }

func status(n int) func(*exchange.Exchange) error {
	return func(x *exchange.Exchange) error {
		x.Response.Status = n
		x.Response.Body = exchange.NoBody
		return nil
	}
}

func failing(c *exchange.Code) func(*exchange.Exchange) error {
	return func(*exchange.Exchange) error { return c.Because(errors.New("test")) }
}

// addresses returns n target URLs.
func urls(n int) (out []TargetSpec) {
	for i := range n {
		out = append(out, TargetSpec{URL: fmt.Sprintf("http://10.0.%d.%d:80", i/250, i%250+1)})
	}
	return out
}

func addr(i int) string { return fmt.Sprintf("10.0.%d.%d:80", i/250, i%250+1) }

func mustOpen(t testing.TB, s Settings, o Options) *Service {
	t.Helper()
	if s.Name == "" {
		s.Name = "test"
	}
	svc, err := Open(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(svc.Close)
	return svc
}

func request(method string, body exchange.Body) *exchange.Exchange {
	if body == nil {
		body = exchange.NoBody
	}
	return &exchange.Exchange{
		Client:  &exchange.Client{},
		Request: exchange.Request{Method: method, Scheme: "http", Body: body},
	}
}

// do serves one GET to its end and returns what came.
func do(s *Service) (x *exchange.Exchange, err error) {
	x = request("GET", nil)
	err = s.Serve(x)
	if err != nil {
		x.Err = exchange.AsError(err)
	}
	x.Done()
	return x, err
}

// pieces is a body that comes in given pieces, and counts its reads.
type pieces struct {
	list  []string
	sized bool
	err   error // instead of io.EOF
	reads int
	shut  int
}

func (p *pieces) Next() ([]byte, error) {
	p.reads++
	if len(p.list) == 0 {
		if p.err != nil {
			return nil, p.err
		}
		return nil, io.EOF
	}
	b := []byte(p.list[0])
	p.list = p.list[1:]
	return b, nil
}

func (p *pieces) Len() (n int64) {
	if !p.sized {
		return -1
	}
	for _, s := range p.list {
		n += int64(len(s))
	}
	return n
}
func (p *pieces) Trailer() *exchange.Header { return nil }
func (p *pieces) Close() error              { p.shut++; return nil }

func readAll(t testing.TB, b exchange.Body) string {
	t.Helper()
	out, err := exchange.ReadAll(b, 1<<30)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return string(out)
}

func joinWords(words []string) string { return fmt.Sprint(words) }
