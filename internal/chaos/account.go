package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// account counts what became of the exchanges.
type account struct {
	total atomic.Int64 // begun

	whole, made, cut, aborted, lost, unanswered atomic.Int64
	mismatches                                  atomic.Int64
	reloads, storms                             atomic.Int64

	twice []atomic.Uint64 // a bit for each number that a service has seen and must not see again

	mu       sync.Mutex
	codes    map[string]int // of the answers that the gateway made
	problems []string       // the first few
}

func newAccount(n int) *account {
	return &account{codes: map[string]int{}, twice: make([]atomic.Uint64, n/64+1)}
}

// seen notes that a service has got p's request; no POST may come twice.
func (a *account) seen(p *plan) {
	if !p.once() {
		return
	}
	bit := uint64(1) << (p.number % 64)
	if a.twice[p.number/64].Or(bit)&bit != 0 {
		a.mismatch("%s %s reached a service twice", p.method, p.tag)
	}
}

// mismatch notes what must never be.
func (a *account) mismatch(format string, args ...any) {
	a.mismatches.Add(1)
	a.problem(format, args...)
}

// silence notes an exchange without an answer for which there is no reason.
func (a *account) silence(format string, args ...any) {
	a.unanswered.Add(1)
	a.problem(format, args...)
}

func (a *account) problem(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.problems) < 20 {
		a.problems = append(a.problems, fmt.Sprintf(format, args...))
	}
}

func (a *account) madeByGateway(code string) {
	a.made.Add(1)
	a.mu.Lock()
	a.codes[code]++
	a.mu.Unlock()
}

// line is the account in a line, for who waits, and what was wrong first.
func (a *account) line() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := ""
	if len(a.problems) > 0 {
		first = "; first: " + a.problems[0]
	}
	return fmt.Sprintf("%d exchanges: %d whole, %d broken off, %d made by the gateway, %d aborted by the client, %d on links of clients that broke; %d reloads; %d mismatches, %d without an answer",
		a.total.Load(), a.whole.Load(), a.cut.Load(), a.made.Load(), a.aborted.Load(), a.lost.Load(), a.reloads.Load(), a.mismatches.Load(), a.unanswered.Load()) + first
}

// String is the account in full.
func (a *account) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, row := range []struct {
		n    int64
		what string
	}{
		{a.total.Load(), "exchanges"},
		{a.whole.Load(), "answered by a service, whole"},
		{a.cut.Load(), "answered by a service that broke off, and seen to be broken"},
		{a.made.Load(), "answered by the gateway:"},
	} {
		fmt.Fprintf(&b, "%9d %s\n", row.n, row.what)
	}
	for _, code := range slices.Sorted(maps.Keys(a.codes)) {
		fmt.Fprintf(&b, "          %9d %s\n", a.codes[code], code)
	}
	for _, row := range []struct {
		n    int64
		what string
	}{
		{a.aborted.Load(), "given up by their client"},
		{a.lost.Load(), "lost with the client's own link, or behind a broken answer on it"},
		{a.unanswered.Load(), "without an answer and without a reason"},
		{a.reloads.Load(), "reloads meanwhile"},
		{a.storms.Load(), "times half of the connections to a service were reset"},
		{a.mismatches.Load(), "mismatches"},
	} {
		fmt.Fprintf(&b, "%9d %s\n", row.n, row.what)
	}
	for _, p := range a.problems {
		fmt.Fprintf(&b, "! %s\n", p)
	}
	return b.String()
}

// failed reports whether anything was as it must not be.
func (a *account) failed() bool { return a.mismatches.Load() > 0 || a.unanswered.Load() > 0 }
