package gateway

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
)

// pressed is a pressure with a limit of 50 ms.
func pressed() *pressure {
	p := new(pressure)
	p.configure(config.Overload{Mode: "enforce", Delay: 50 * time.Millisecond})
	return p
}

// offer has requests of each importance come between two looks, and returns how
// many of a hundred are refused.
func offer(p *pressure, delay time.Duration) (refused [exchange.Importances]int) {
	p.adjust(delay)
	for i := range refused {
		for range 100 {
			x := &exchange.Exchange{Importance: exchange.Background + exchange.Importance(i)}
			if p.bar.Load() > 0 && p.admit(x) != nil {
				refused[i]++
			}
		}
	}
	return refused
}

// A gateway that is merely busy refuses nobody, nor does one that is late for a moment.
func TestBusyIsNoPressure(t *testing.T) {
	p := pressed()
	for i := range 1000 {
		delay := 49 * time.Millisecond
		if i%5 == 0 {
			delay = time.Second
		}
		if refused := offer(p, delay); refused != [exchange.Importances]int{} {
			t.Fatalf("%v of a hundred of each importance are refused", refused)
		}
	}
}

// Under lasting pressure importances are given up one after the other, and the
// critical requests never.
func TestPressureGivesUpTheLeastImportantFirst(t *testing.T) {
	p := pressed()
	var first [exchange.Importances]int // look at which half are refused
	for look := 1; look <= 60; look++ {
		for i, n := range offer(p, 80*time.Millisecond) {
			if n > 50 && first[i] == 0 {
				first[i] = look
			}
		}
	}
	if first[0] == 0 || first[1] <= first[0] || first[2] <= first[1] || first[2] > 30 || first[3] != 0 {
		t.Errorf("half of each importance is refused at the looks %v", first)
	}
	// As soon as it is over, it comes down, and not at once.
	p.adjust(30 * time.Millisecond)
	if refused := offer(p, 30*time.Millisecond); refused[2] < 90 {
		t.Errorf("between the half and the whole of the limit nothing changes: %v", refused)
	}
	for look := 1; p.bar.Load() > 0; look++ {
		p.adjust(time.Millisecond)
		if look > 40 || p.bar.Load() == 0 && look < 10 {
			t.Fatalf("the bar is at %d after %d calm looks", p.bar.Load(), look)
		}
	}
}

// What nobody asks for is no step on the way.
func TestPressureSkipsWhatDoesNotCome(t *testing.T) {
	p := pressed()
	x := new(exchange.Exchange) // normal ones only
	for look := 1; ; look++ {
		p.adjust(time.Second)
		refused := 0
		for range 100 {
			if p.bar.Load() > 0 && p.admit(x) != nil {
				refused++
			}
		}
		if refused > 0 {
			return
		}
		if look > 12 {
			t.Fatalf("after %d looks the bar is at %d", look, p.bar.Load())
		}
	}
}

// However late it is, a few normal requests are let in: when hardly any come, they are not
// the reason, but the neighbours on the machine.
func TestPressureLeavesTheFewAlone(t *testing.T) {
	p := pressed()
	p.floor = 20
	for look := range 60 {
		p.adjust(time.Second)
		for i := range 100 {
			x := new(exchange.Exchange)
			if err := p.admit(x); err != nil && i < 20 {
				t.Fatalf("look %d: the request %d is refused", look, i)
			}
		}
	}
	if p.refused[exchange.Normal.Index()].Load() < 60*80/2 {
		t.Error("and the rest isn't refused")
	}
	if x := (&exchange.Exchange{Importance: exchange.Low}); p.admit(x) == nil {
		t.Error("what is less important has a share of it")
	}
}

func TestPressureInShadowRefusesNobody(t *testing.T) {
	p := pressed()
	p.shadow.Store(true)
	for range 60 {
		if refused := offer(p, time.Second); refused != [exchange.Importances]int{} {
			t.Fatal(refused)
		}
	}
	if p.refused[0].Load() == 0 || p.refused[2].Load() == 0 {
		t.Error("it is not counted")
	}
}

// The scheduler's own measure grows when much more is ready than can run.
func TestDelaysSeeAQueue(t *testing.T) {
	var d delays
	d.take()
	spin := func(n int, turn time.Duration) time.Duration {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				for range 3 {
					for begin := time.Now(); time.Since(begin) < turn; {
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		all.Wait()
		return d.take()
	}
	var delay time.Duration
	for range 5 { // on a busy machine the turns may pass while nobody runs
		if delay = spin(200, time.Millisecond); delay >= 20*time.Millisecond {
			return
		}
	}
	t.Errorf("with 200 who want a millisecond each, nine of ten wait no longer than %v", delay)
}

// The watch ends with its last configuration, and leaves no bar behind.
func TestPressureEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pressed()
		p.bar.Store(100)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { p.watch(stop); close(done) }()
		time.Sleep(time.Millisecond)
		close(stop)
		<-done
		if p.bar.Load() != 0 {
			t.Error("a bar is left")
		}
	})
}
