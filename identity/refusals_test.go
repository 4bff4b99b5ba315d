package identity

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
)

// allowance is a limit of refusals that never forgets.
type allowance struct {
	mu   sync.Mutex
	left int
}

func (a *allowance) say(cost int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left == 0 {
		return exchange.IdentityLimited.Because(nil)
	}
	a.left -= cost
	return nil
}

func (a *allowance) Look(*exchange.Exchange) error  { return a.say(0) }
func (a *allowance) Count(*exchange.Exchange) error { return a.say(1) }

const limited = "identity_limited"

func limitedBasic(t *testing.T, w *world, refusals int, took time.Duration) (Source, countingHash) {
	w.env.Refusals = func(rate config.Rate) (Refusals, error) { return &allowance{left: refusals}, nil }
	b, h := countedBasic(t, w, took)
	r, err := w.env.refusals(config.Rate{Count: 1, Per: time.Second}, config.Pos{})
	if err != nil {
		t.Fatal(err)
	}
	b.refusals = r
	return b, h
}

// When the refusals are used up no hash is computed any more, and the right
// password is not told from a wrong one, remembered or not.
func TestRefusedBeforeHashing(t *testing.T) {
	b, h := limitedBasic(t, newWorld(t), 2, 0)
	expect(t, b, request("GET", "/", basicField("ada", "secret")), "ada")
	expect(t, b, request("GET", "/", basicField("ada", "wrong")), bad)
	expect(t, b, request("GET", "/", "Authorization: Basic !"), bad)
	before := h.count.Load()
	expect(t, b, request("GET", "/", basicField("ada", "wrong again")), limited)
	expect(t, b, request("GET", "/", basicField("ada", "secret")), limited)
	expect(t, b, request("GET", "/"), "none")
	if n := h.count.Load() - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
}

// However many passwords are tried at once, no more verdicts are told than may
// be refused: a right one among those that come after tells nothing.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := limitedBasic(t, newWorld(t), 3, 100*time.Millisecond)
		var mu sync.Mutex
		told := map[string]int{}
		var all sync.WaitGroup
		ask := func(password string) {
			_, err := b.Identify(request("GET", "/", basicField("ada", password)))
			code := "right"
			if err != nil {
				code = exchange.AsError(err).Code
			}
			mu.Lock()
			told[code]++
			mu.Unlock()
		}
		for i := range 8 {
			all.Go(func() { ask(fmt.Sprint("wrong", i)) })
		}
		synctest.Wait() // all have been let in, and wait for a turn
		time.Sleep(time.Millisecond)
		all.Go(func() { ask("secret") })
		all.Wait()
		if told[bad] != 3 || told[limited] != 6 || told["right"] != 0 {
			t.Errorf("told: %v, want 3 wrong and 6 limited", told)
		}
	})
}
