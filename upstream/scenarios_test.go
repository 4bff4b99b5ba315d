package upstream

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// scenario is a play in acts, which follow each other without a pause.
type scenario struct {
	name     string
	workers  int // 0: as many as it takes
	stubborn bool
	shared   bool
	acts     []act
}

// act is what clients do for a while, and what is expected to become of them.
type act struct {
	length  time.Duration
	crowds  []crowd
	workers int     // from here on; 0: as before
	hangs   bool    // begins nothing while the act lasts
	good    float64 // at least so many answers a second, of all crowds
	refused int     // refusals at most; -1: as many as it takes
}

const sec = time.Second

// around is a latency of that mean, seldom less than half of it and sometimes several times as much.
func around(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(float64(d) * (0.5 + r.ExpFloat64()/2)) }
}

// either is one of two.
func either(share float64, a, b func(*rand.Rand) time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		if r.Float64() < share {
			return a(r)
		}
		return b(r)
	}
}

func crowds(c ...crowd) []crowd { return c }

// half is a crowd that asks for half of what 20 workers can do, and waits for a second.
func half(more ...act) []act {
	c := crowd{rate: 200, patience: sec, work: around(work)}
	return append([]act{{length: 10 * sec, crowds: crowds(c), good: 185}}, more...)
}

// overloads are services that can give 400 answers a second, and less in some acts.
func overloads() (all []scenario) {
	for _, kind := range []scenario{{name: "queue that leaves out who has gone"}, {name: "queue that works for who has gone", stubborn: true}, {name: "processors that leave out who has gone", shared: true}, {name: "processors that work for who has gone", shared: true, stubborn: true}} {
		for _, load := range []float64{1.5, 3, 10} {
			c := crowd{rate: 400 * load, patience: sec, work: around(work)}
			s := kind
			s.name, s.workers = fmt.Sprintf("%s, %v times the peak", kind.name, load), 20
			s.acts = half(act{length: 20 * sec, crowds: crowds(c), good: 320, refused: -1},
				act{length: 3 * sec, crowds: crowds(c), good: 360, refused: -1})
			all = append(all, s)
		}
	}
	return append(all,
		scenario{name: "always the same work", workers: 20, stubborn: true, acts: []act{
			{length: 5 * sec, crowds: crowds(crowd{rate: 200, patience: sec, work: always(work)}), good: 180},
			{length: 20 * sec, crowds: crowds(crowd{rate: 1200, patience: sec, work: always(work)}), good: 320, refused: -1}}},
		scenario{name: "timeouts of the route in place of impatient clients", workers: 20, stubborn: true, acts: half(
			act{length: 30 * sec, crowds: crowds(crowd{rate: 1200, timeout: sec, work: around(work)}), good: 320, refused: -1})},
		scenario{name: "a mix of work", workers: 20, stubborn: true, acts: half(
			act{length: 30 * sec, crowds: crowds(crowd{rate: 1200, patience: sec, work: either(0.9, always(work/5), always(work*41/10))}), good: 540, refused: -1})},
		scenario{name: "four of five workers are lost and come back", workers: 20, stubborn: true, acts: half(
			act{length: 30 * sec, workers: 4, crowds: crowds(crowd{rate: 200, patience: sec, work: around(work)}), good: 60, refused: -1},
			act{length: 2 * sec, workers: 20, crowds: crowds(crowd{rate: 200, patience: sec, work: around(work)}), good: 150, refused: -1},
			act{length: 20 * sec, crowds: crowds(crowd{rate: 200, patience: sec, work: around(work)}), good: 185})},
		scenario{name: "a burst, and clients that ask again and again", workers: 20, stubborn: true, acts: []act{
			{length: 10 * sec, crowds: crowds(crowd{rate: 300, patience: sec, tries: 3, work: around(work)}), good: 280},
			{length: 5 * sec, crowds: crowds(crowd{rate: 1200, patience: sec, tries: 3, work: around(work)}), refused: -1},
			{length: 10 * sec, crowds: crowds(crowd{rate: 300, patience: sec, tries: 3, work: around(work)}), good: 230, refused: -1},
			{length: 10 * sec, crowds: crowds(crowd{rate: 300, patience: sec, tries: 3, work: around(work)}), good: 280}}},
		scenario{name: "started into overload", workers: 20, stubborn: true, acts: []act{
			{length: 10 * sec, crowds: crowds(crowd{rate: 1200, patience: sec, work: around(work)}), refused: -1},
			{length: 20 * sec, crowds: crowds(crowd{rate: 1200, patience: sec, work: around(work)}), good: 320, refused: -1}}},
		scenario{name: "few and slow requests", workers: 20, stubborn: true, acts: []act{
			{length: 60 * sec, crowds: crowds(crowd{rate: 10, patience: 5 * sec, work: around(sec)}), good: 9.3},
			{length: 120 * sec, crowds: crowds(crowd{rate: 60, patience: 5 * sec, work: around(sec)}), good: 8, refused: -1}, // with so few, it takes time to see
			{length: 60 * sec, crowds: crowds(crowd{rate: 60, patience: 5 * sec, work: around(sec)}), good: 16, refused: -1}}},
	)
}

// healthy are services that can answer whoever waits for long enough.
func healthyServices() []scenario {
	usual := func(length time.Duration, good float64) act {
		return act{length: length, crowds: crowds(crowd{rate: 400, patience: sec, work: around(work)}), good: good}
	}
	impatient := func(rate float64, work func(*rand.Rand) time.Duration, good float64) act {
		return act{length: 60 * sec, crowds: crowds(crowd{rate: rate, patience: sec / 2, work: work}), good: good}
	}
	return []scenario{
		{name: "eight times slower, and clients that don't wait", acts: []act{usual(10*sec, 375), impatient(400, around(8*work), 280), usual(10*sec, 375)}},
		{name: "as slow as clients can bear, all the same", acts: []act{usual(10*sec, 375), impatient(400, either(0.5, always(490*time.Millisecond), always(510*time.Millisecond)), 170)}},
		{name: "slower than most can bear", acts: []act{usual(10*sec, 375), impatient(400, around(16*work), 60)}},
		{name: "slower than anybody can bear", acts: []act{usual(10*sec, 375), impatient(400, always(20*work), 0), usual(10*sec, 350)}},
		{name: "slow and impatient, and many more of them", acts: []act{usual(10*sec, 375), impatient(1200, around(8*work), 840)}},
		{name: "slow and impatient, and clients that ask again", acts: []act{usual(10*sec, 375),
			{length: 60 * sec, crowds: crowds(crowd{rate: 400, patience: sec / 2, tries: 2, work: around(8 * work)}), good: 280}}},
		{name: "slow, as little by little", acts: []act{usual(10*sec, 375), impatient(400, around(2*work), 390), impatient(400, around(4*work), 385), impatient(400, around(8*work), 280)}},
		{name: "one route never answers", acts: []act{usual(10*sec, 375),
			{length: 60 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: around(work)}, crowd{rate: 100, patience: sec, work: always(100 * sec)}), good: 385}}},
		{name: "one of three targets hangs", acts: []act{usual(10*sec, 375),
			{length: 60 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: either(0.33, always(100*sec), around(work))}), good: 255}}},
		{name: "clients that break off as they type", acts: []act{
			{length: 60 * sec, crowds: crowds(crowd{rate: 300, patience: work, work: around(3 * work)}, crowd{rate: 100, patience: 2 * sec, work: around(3 * work)}), good: 98}}},
		{name: "slow requests come on top of fast ones", acts: []act{usual(10*sec, 375),
			{length: 30 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: around(work)}, crowd{rate: 400, patience: 5 * sec, work: around(10 * work)}), good: 780}}},
		{name: "twice a second either fast or slow", acts: []act{{length: 60 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: either(0.5, around(work/10), around(8*work))}), good: 350}}},
		{name: "ten times as many requests", acts: []act{usual(10*sec, 375), {length: 20 * sec, crowds: crowds(crowd{rate: 4000, patience: sec, work: around(work)}), good: 3950}}},
		{name: "bursts", acts: []act{
			usual(5*sec, 375), {length: sec, crowds: crowds(crowd{rate: 5000, patience: sec, work: around(work)}), good: 4900},
			usual(5*sec, 375), {length: sec / 10, crowds: crowds(crowd{rate: 20000, patience: sec, work: around(work)}), good: 18500}, usual(5*sec, 375)}},
		{name: "a burst that 20 workers can take", workers: 20, acts: half(
			act{length: sec / 10, crowds: crowds(crowd{rate: 2000, patience: sec, work: around(work)}), good: 1800},
			act{length: 10 * sec, crowds: crowds(crowd{rate: 200, patience: sec, work: around(work)}), good: 185})},
		{name: "nearly at the peak", workers: 20, acts: half(
			act{length: 60 * sec, crowds: crowds(crowd{rate: 360, patience: sec, work: around(work)}), good: 350})},
		{name: "a service that starts slowly", acts: []act{
			{length: 5 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: around(16 * work)}), good: 250},
			{length: 5 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: around(4 * work)}), good: 370}, usual(10*sec, 375)}},
		{name: "little traffic", acts: []act{
			{length: 200 * sec, crowds: crowds(crowd{rate: 1, patience: sec, work: around(work)}), good: 0.8},
			{length: 200 * sec, crowds: crowds(crowd{rate: 1, patience: sec, work: either(0.5, around(work), always(2*sec))}), good: 0.35},
			{length: 200 * sec, crowds: crowds(crowd{rate: 20, patience: sec, work: either(0.5, around(work), always(2*sec))}), good: 9}}},
		{name: "long polls and the rest", acts: []act{
			usual(10*sec, 375),
			{length: 60 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: around(work)}, crowd{rate: 50, patience: 30 * sec, work: always(60 * sec)}), good: 390}}},
		{name: "batches of a minute, by clients with all the time", workers: 0, acts: []act{
			usual(10*sec, 375),
			{length: 60 * sec, crowds: crowds(crowd{rate: 400, patience: sec, work: around(work)}, crowd{rate: 50, work: around(10 * sec)}), good: 390}}},
		{name: "a pause of three seconds", acts: []act{usual(10*sec, 375),
			{length: 3 * sec, hangs: true, crowds: crowds(crowd{rate: 400, patience: sec, work: around(work)}), refused: 0},
			usual(sec, 370), usual(10*sec, 375)}},
		{name: "a client that asks for a thousand things at once", workers: 20, acts: half(
			act{length: sec / 100, crowds: crowds(crowd{rate: 100000, work: around(work)}), good: 0},
			act{length: 5 * sec, crowds: crowds(crowd{rate: 50, patience: 5 * sec, work: around(work)}), good: 45})},
	}
}

// Whatever the kind of overload, a service gives at least four fifths of what it can, the
// seconds included in which it is found out.
func TestOverloads(t *testing.T) { play(t, overloads()) }

// Whatever a service does that is not overloaded, nobody is refused, and it answers about
// as many as without any protection: with GOPURA_OVERLOAD=off this shows what that would be.
func TestHealthyServicesAreLeftAlone(t *testing.T) { play(t, healthyServices()) }

func play(t *testing.T, all []scenario) {
	for i, sc := range all {
		t.Run(sc.name, func(t *testing.T) {
			o := enforced
			if os.Getenv("GOPURA_OVERLOAD") == "off" {
				o = Overload{}
			}
			if raceEnabled && i%7 != 1 {
				t.Skip("all are played without the race detector")
			}
			onStage(t, cmp.Or(sc.workers, 1<<20), o, func(s *stage) { s.play(sc) })
		})
	}
}

func (s *stage) play(sc scenario) {
	s.plant.stubborn, s.plant.shared = sc.stubborn, sc.shared
	var all sync.WaitGroup
	var out [][]*outcome
	for _, a := range sc.acts {
		s.plant.become(cmp.Or(a.workers, s.plant.workers), a.hangs)
		out = append(out, s.come(&all, a.length, a.crowds...))
	}
	all.Wait()
	s.review(sc, out)
}

func (s *stage) review(sc scenario, out [][]*outcome) {
	for i, a := range sc.acts {
		var sum outcome
		for _, o := range out[i] {
			sum.sent, sum.good, sum.gone, sum.refused, sum.refusals = sum.sent+o.sent, sum.good+o.good, sum.gone+o.gone, sum.refused+o.refused, sum.refusals+o.refusals
		}
		good := float64(sum.good) / a.length.Seconds()
		if testing.Verbose() {
			fmt.Printf("ACT %-50s %d: %7.1f of %7.1f/s good, want %6.1f; %d refused\n", sc.name, i+1, good, float64(sum.sent)/a.length.Seconds(), a.good, sum.refusals)
		}
		if good < a.good {
			s.t.Errorf("act %d: %.1f answers a second, want %v: %v", i+1, good, a.good, sum)
		}
		if a.refused >= 0 && sum.refusals > a.refused {
			s.t.Errorf("act %d: %d refused, want %d at most: %v", i+1, sum.refusals, a.refused, sum)
		}
	}
}
