package spans

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"gopura/telemetry"
)

// sink is a collector in the place of the client of OTLP, so that time can be
// the test's; gateway's tests send to real ones.
type sink struct {
	mu      sync.Mutex
	batches []int
	hang    bool
	fail    bool
}

func (s *sink) Start(context.Context) error { return nil }
func (s *sink) Stop(context.Context) error  { return nil }
func (s *sink) UploadTraces(ctx context.Context, list []*tracepb.ResourceSpans) error {
	if s.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return errors.New("no")
	}
	s.batches = append(s.batches, len(list[0].ScopeSpans[0].Spans))
	return nil
}

func (s *sink) sent() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

func (s *sink) fails(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = yes
}

func open(t *testing.T, s *sink, o Options) *Exporter {
	t.Helper()
	o, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	o.Counts = new(telemetry.Spans)
	r, err := o.resource()
	if err != nil {
		t.Fatal(err)
	}
	return start(o, s, func() {}, r)
}

func some(n int) (list []*tracepb.Span) {
	for range n {
		list = append(list, &tracepb.Span{})
	}
	return list
}

// Spans go out when a batch is full, or when the period is over; what is left
// goes when the exporter is closed.
func TestExporterSendsInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		e := open(t, s, Options{Queue: 100, Batch: 10, Period: time.Second})
		e.put(some(4))
		synctest.Wait()
		if sent := s.sent(); len(sent) > 0 {
			t.Fatalf("%v were sent at once", sent)
		}
		e.put(some(8))
		synctest.Wait()
		if sent := s.sent(); !slices.Equal(sent, []int{10}) {
			t.Fatalf("%v, want a batch of 10", sent)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if sent := s.sent(); !slices.Equal(sent, []int{10, 2}) {
			t.Fatalf("%v, want the rest after the period", sent)
		}
		e.put(some(25))
		e.Close()
		if err := e.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sent := s.sent(); !slices.Equal(sent, []int{10, 2, 10, 10, 5}) {
			t.Errorf("%v, want all that was left", sent)
		}
		e.put(some(1))
		e.Close()
	})
}

// A collector that hangs holds up one batch at a time; what does not fit into
// the queue is dropped as a whole, and Close does not wait for it for ever.
func TestExporterWithACollectorThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, &sink{hang: true}, Options{Queue: 10, Batch: 10, Period: time.Second, Timeout: time.Minute})
		e.put(some(10))
		synctest.Wait()
		e.put(some(8))
		e.put(some(3)) // one too many
		e.put(some(2))
		e.Close()
		begin := time.Now()
		if err := e.Wait(t.Context()); err != nil || time.Since(begin) != closeWithin {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// The log hears of it when sending begins to fail, and when it works again.
func TestExporterTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []bool
		s := &sink{fail: true}
		e := open(t, s, Options{Queue: 10, Batch: 1, Period: time.Second, Log: func(err error) { said = append(said, err == nil) }})
		send := func() { e.put(some(1)); time.Sleep(time.Second); synctest.Wait() }
		send()
		send()
		s.fails(false)
		send()
		send()
		e.Close()
		_ = e.Wait(t.Context())
		if len(said) != 2 || said[0] || !said[1] {
			t.Errorf("said %v", said)
		}
	})
}

func TestThrottle(t *testing.T) {
	r := &Throttle{Count: 2, Per: time.Second}
	at := time.Unix(100, 0)
	for i, want := range []bool{true, true, false, false} {
		if got := r.allow(at.Add(time.Duration(i) * time.Millisecond)); got != want {
			t.Errorf("number %d: %v", i, got)
		}
	}
	if !r.allow(at.Add(time.Second)) || !(*Throttle)(nil).allow(at) {
		t.Error("none after it")
	}
}

// The dice are thrown as often as they should be, whatever ids clients choose.
func TestRatio(t *testing.T) {
	n := 0
	for range 100000 {
		if RatioOf(0.05).draw() {
			n++
		}
		if RatioOf(0).draw() || !RatioOf(1).draw() {
			t.Fatal("0 is sampled, or 1 is not")
		}
	}
	if n < 4500 || n > 5500 {
		t.Errorf("%d of 100000 at 5%%", n)
	}
}

// What is masked in records is masked in spans; the authority of a proxy's
// request is told elsewhere.
func TestMaskedTargets(t *testing.T) {
	for in, want := range map[string][2]string{
		"/a?token=x&b=1":           {"/a", "token=***&b=1"},
		"http://u:p@host/a?code=1": {"/a", "code=***"},
		"http://host":              {"/", ""},
		"/a?u=http://b/c":          {"/a", "u=http://b/c"},
		"/\xff":                    {"/\ufffd", ""},
		"*":                        {"*", ""},
	} {
		if path, query := masked([]byte(in)); path != want[0] || query != want[1] {
			t.Errorf("%s: %q %q", in, path, query)
		}
	}
}
