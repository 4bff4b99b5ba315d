package compose

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// brokenBody breaks off after its first piece.
type brokenBody struct {
	exchange.Body
	read bool
}

func (b *brokenBody) Len() int64 { return -1 }
func (b *brokenBody) Next() ([]byte, error) {
	if b.read {
		return nil, exchange.UpstreamBroken.Errorf("the connection was lost")
	}
	b.read = true
	return []byte(`{"half":`), nil
}

// An answer that was to be passed on as it is, and broke off, is not passed on
// as a whole one.
func TestPassedAnswerThatBreaks(t *testing.T) {
	plan := planOf(t, `compose:
  user: { call: "GET users/u", pass: 404 }
`, map[string]exchange.Handler{"users": service(func(x *exchange.Exchange) error {
		x.Response.Status = 404
		x.Response.Body = &brokenBody{Body: exchange.NoBody}
		return nil
	})})
	x := clientRequest(time.Second)
	defer x.Done()
	var e *exchange.Error
	if err := plan.Serve(x); !errors.As(err, &e) || e.Status != 502 {
		t.Errorf("status %d, error %v; want 502", x.Response.Status, err)
	}
}

// Whoever still holds the body of an exchange that is done does nothing to the
// next one, which uses the same memory.
func TestBodyAfterDone(t *testing.T) {
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		plan := planOf(t, "compose:\n  user: GET users/u\n", map[string]exchange.Handler{"users": answering(`{"id":1}`)})
		x := clientRequest(time.Second)
		x.Request.Header.Add("Accept", accept)
		if err := plan.Serve(x); err != nil {
			t.Fatal(err)
		}
		bodyOf(t, x)
		stale := x.Response.Body
		x.Done()
		if x.Response.Body == stale {
			t.Errorf("%s: the exchange keeps a body that is not its own any more", accept)
		}
	}
}

// The results of for_each have a common limit: as many as a list may be long,
// each as large as a body may be, would be more memory than there is.
func TestElementsTogetherAreBounded(t *testing.T) {
	large := `"` + strings.Repeat("x", 4<<20-8) + `"`
	for _, optional := range []string{"false", "true"} {
		plan := planOf(t, `compose:
  numbers: GET lists/l
  all: { call: "GET parts/{i}", for_each: { in: numbers, as: i, max: 4, limit: 100 }, optional: `+optional+` }
`, map[string]exchange.Handler{
			"lists": answering("[" + strings.Repeat("1,", 19) + "1]"), "parts": answering(large),
		})
		plan.calls[1].each.unique = false
		x := clientRequest(10 * time.Second)
		err := plan.Serve(x)
		if optional == "false" {
			if !exchange.PartInvalid.Is(err) {
				t.Errorf("required: %v, want part_invalid", err)
			}
		} else if err != nil || x.Response.Body.Len() > maxTogether+1<<20 {
			t.Errorf("optional: %v, %d bytes", err, x.Response.Body.Len())
		}
		x.Done()
	}
}

// A value that a service may decode to a slash makes no segment of dots either:
// some decode first, and follow the dots then.
func TestDotsBehindEncodedSlashes(t *testing.T) {
	reached := false
	plan := planOf(t, `compose:
  user: GET users/u
  more: GET more/of/{user.id}
`, map[string]exchange.Handler{
		"users": answering(`{"id":"../../admin"}`),
		"more":  service(func(x *exchange.Exchange) error { reached = true; return answerWith(x, 200, "1") }),
	})
	x := clientRequest(time.Second)
	defer x.Done()
	if err := plan.Serve(x); !exchange.PartInput.Is(err) || reached {
		t.Errorf("%v, reached %v", err, reached)
	}
}

// When one element fails for all, those that are just about to be asked for are
// not waited for.
func TestElementsGivenUpAsTheyBegin(t *testing.T) {
	plan := planOf(t, `compose:
  numbers: GET lists/l
  all: { call: "GET parts/{i}", for_each: { in: numbers, as: i, max: 8 } }
`, map[string]exchange.Handler{
		"lists": answering("[0,1,2,3,4,5,6,7]"),
		"parts": service(func(x *exchange.Exchange) error {
			if string(x.Request.Path) == "/0" {
				return exchange.UpstreamBroken.Errorf("gone")
			}
			return wait(x, 5*time.Second)
		}),
	})
	for range 300 {
		x := clientRequest(10 * time.Second)
		if err := plan.Serve(x); !exchange.PartFailed.Is(err) {
			t.Fatal(err)
		}
		took := time.Since(x.Start)
		x.Done()
		if took > 4*time.Second {
			t.Fatalf("it took %v", took)
		}
	}
}
