package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

func header(lines ...string) *exchange.Header {
	h := new(exchange.Header)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

func text(h *exchange.Header) string {
	var b strings.Builder
	for _, f := range h.Fields() {
		b.WriteString(string(f.Name) + ": " + string(f.Value) + "\n")
	}
	return b.String()
}

func TestHeaderKeepsOrderAndCase(t *testing.T) {
	h := header("Host-ish: a", "X-Two: 1", "x-two: 2", "Last: z")
	if got := string(h.Get("X-TWO")); got != "1" {
		t.Errorf("Get returns the first: %q", got)
	}
	if h.Count("x-Two") != 2 || h.Get("absent") != nil || h.Has("absent") {
		t.Error("Count, Get or Has is wrong")
	}
	h.Set("x-tWO", "3")
	if got, want := text(h), "Host-ish: a\nx-tWO: 3\nLast: z\n"; got != want {
		t.Errorf("Set keeps the place of the first and drops the rest:\n%s", got)
	}
	h.Del("LAST")
	h.Set("New", "")
	if got, want := text(h), "Host-ish: a\nx-tWO: 3\nNew: \n"; got != want {
		t.Errorf("got\n%s", got)
	}
	if h.Get("new") == nil {
		t.Error("an empty value is there all the same")
	}
}

// A client must not be able to pass X_User_Id where only the gateway may say
// X-User-Id: many upstreams read one for the other.
func TestDelAliasTakesUnderscoresForDashes(t *testing.T) {
	h := header("X-User-Id: a", "x_user_id: b", "X_User-ID: c", "X-User-Ids: d", "XUserId: e")
	h.DelAlias("X-User-Id")
	if got, want := text(h), "X-User-Ids: d\nXUserId: e\n"; got != want {
		t.Errorf("left:\n%s", got)
	}
}

func TestHasToken(t *testing.T) {
	h := header("Vary: Accept,  Origin ", "Vary: accept-encoding")
	for token, want := range map[string]bool{"origin": true, "ORIGIN": true, "Accept-Encoding": true, "Ori": false, "": false} {
		if h.HasToken("vary", token) != want {
			t.Errorf("HasToken(%q) is not %v", token, want)
		}
	}
}

// U+212A KELVIN SIGN folds to k in Unicode, and must not here.
func TestEqualFoldIsASCII(t *testing.T) {
	if exchange.EqualFold([]byte("\u212Aeep"), "keep\x00\x00") || exchange.EqualFold([]byte("[\\]"), "{|}") || exchange.EqualFold([]byte("a@"), "a`") {
		t.Error("bytes that are no letters compare by value")
	}
	if !exchange.EqualFold([]byte("ConTent-LENGTH"), "content-length") {
		t.Error("letters compare without case")
	}
}

func TestCopyFromOwnsItsBytes(t *testing.T) {
	value := []byte("secret")
	h := new(exchange.Header)
	h.AddBytes("A", value)
	var c exchange.Header
	c.CopyFrom(h)
	copy(value, "xxxxxx")
	if string(c.Get("a")) != "secret" {
		t.Error("the copy changed with the original")
	}
}

func TestDoneRunsOnceLastFirst(t *testing.T) {
	x := new(exchange.Exchange)
	var order []int
	for i := range 3 {
		x.OnDone(func(*exchange.Exchange) { order = append(order, i) })
	}
	x.Done()
	x.Done()
	if !slices.Equal(order, []int{2, 1, 0}) {
		t.Error(order)
	}
}

// What the done stack looks at (a response head in a buffer) must still be there.
func TestBuffersOutliveTheDoneStack(t *testing.T) {
	x := new(exchange.Exchange)
	b := x.Buffer()
	copy(b.B[:], "head")
	seen := ""
	x.OnDone(func(*exchange.Exchange) { seen = string(b.B[:4]) })
	x.Done()
	if seen != "head" {
		t.Errorf("the done stack saw %q", seen)
	}
}

func TestArenaPiecesDoNotOverlap(t *testing.T) {
	var x exchange.Exchange
	var pieces [][]byte
	for i := range 200 {
		p := x.Arena.Grow(17)
		p = append(p, bytes.Repeat([]byte{byte(i)}, 17)...)
		pieces = append(pieces, p)
	}
	for i, p := range pieces {
		if !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, 17)) {
			t.Fatalf("piece %d was overwritten", i)
		}
	}
	if p := append(x.Arena.Grow(2), "more than asked for"...); string(p) != "more than asked for" {
		t.Error("appending past the room loses bytes")
	}
}

type interrupter struct{ n int }

func (i *interrupter) Interrupt() { i.n++ }

func TestCancelInterruptsAndFirstCauseWins(t *testing.T) {
	x := new(exchange.Exchange)
	i := new(interrupter)
	if err := x.Interruptible(i); err != nil {
		t.Fatal(err)
	}
	first := errors.New("first")
	x.Cancel(first)
	x.Cancel(errors.New("second"))
	if i.n != 1 || x.Cancelled() != first {
		t.Errorf("interrupted %d times, cause %v", i.n, x.Cancelled())
	}
	if err := x.Interruptible(i); err != first {
		t.Errorf("a later waiter is told at once: %v", err)
	}
	x.Done()
	if x.Cancelled() != nil {
		t.Error("the next exchange of the owner is not cancelled")
	}
}

func TestContextEndsWithTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &exchange.Exchange{Deadline: time.Now().Add(time.Second)}
		ctx := x.Context()
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		x.Done()
		<-child.Done() // hangs if it does not
		if ctx.Err() != context.Canceled {
			t.Error(ctx.Err())
		}
		if x.Context() == ctx {
			t.Error("a context that was handed out must not serve the next exchange")
		}
		x.Done()
	})
}

func TestContextEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &exchange.Exchange{Deadline: time.Now().Add(time.Second)}
		defer x.Done()
		start := time.Now()
		<-x.Context().Done()
		if d := time.Since(start); d != time.Second || x.Context().Err() != context.DeadlineExceeded {
			t.Error(d, x.Context().Err())
		}
	})
}

func TestChildIsCancelledWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &exchange.Exchange{Client: &exchange.Client{}}
		c := x.Child(x.Context(), exchange.Request{Method: "GET"})
		i := new(interrupter)
		c.Interruptible(i)
		x.Cancel(errors.New("gone"))
		synctest.Wait()
		if i.n != 1 {
			t.Error("the child's call goes on")
		}
		c.Done()
		x.Done()
	})
}

func TestBodies(t *testing.T) {
	b, err := exchange.ReadAll(exchange.BytesBody([]byte("hello")), 5)
	if string(b) != "hello" || err != nil {
		t.Error(string(b), err)
	}
	if _, err := exchange.ReadAll(exchange.BytesBody([]byte("hello")), 4); !exchange.BodyTooLarge.Is(err) {
		t.Error(err)
	}
	all, err := io.ReadAll(exchange.Reader(exchange.BytesBody([]byte("through a reader"))))
	if string(all) != "through a reader" || err != nil {
		t.Error(string(all), err)
	}
	if n := exchange.Unread(42).Len(); n != 42 {
		t.Error(n)
	}
	if exchange.BytesBody(nil) != exchange.NoBody {
		t.Error("no bytes are no body")
	}
}

// Every code is listed once, with a sentence, and its name is a stable word.
func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range exchange.Codes {
		if seen[c.Name] || c.Text == "" || !strings.HasSuffix(c.Text, ".") || c.Status < 400 || c.Status > 599 {
			t.Errorf("%+v", c)
		}
		if strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q is no word", c.Name)
		}
		seen[c.Name] = true
	}
	err := exchange.NoTarget.Errorf("all %d down", 3)
	if !exchange.NoTarget.Is(err) || err.Error() != "no_healthy_target: all 3 down" || exchange.AsError(errors.New("x")).Code != "internal" {
		t.Error(err)
	}
}

func TestSetClientAddrLeavesTheConnectionAlone(t *testing.T) {
	conn := &exchange.Client{Addr: netip.MustParseAddrPort("10.0.0.1:1")}
	x := &exchange.Exchange{Client: conn}
	x.SetClientAddr(netip.MustParseAddrPort("192.0.2.7:0"))
	if conn.Addr.String() != "10.0.0.1:1" || x.Client.Addr.Addr().String() != "192.0.2.7" {
		t.Error(conn.Addr, x.Client.Addr)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	x := new(exchange.Exchange)
	done := func(*exchange.Exchange) {}
	client, i := new(exchange.Client), new(interrupter)
	if n := testing.AllocsPerRun(1000, func() {
		x.Reset()
		x.Client = client
		x.Request.Header.Add("A", "b")
		x.Request.Header.Set("a", "c")
		x.Request.Header.DelAlias("x")
		x.Arena.Grow(40)
		x.Buffer()
		x.OnDone(done)
		x.Arm()
		x.Interruptible(i)
		x.Release()
		x.Done()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
