package main

import "testing"

// TestChaos is the small form of `make chaos`: no exchange gets another's answer,
// or none without a reason.
func TestChaos(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 300
	}
	a, err := run(t.Context(), options{exchanges: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", a)
	if a.failed() {
		t.Error("see above")
	}
	if whole := a.whole.Load(); whole < int64(n)/2 {
		t.Errorf("only %d exchanges were answered whole: that says too little", whole)
	}
}

// TestTags: a tag that is cut, or another's, is seen.
func TestTags(t *testing.T) {
	for _, n := range []int{0, 7, 12345678, 99999999} {
		p := planOf(n)
		if got, ok := numberOf(p.tag); !ok || got != n {
			t.Errorf("%s is read as %d", p.tag, got)
		}
	}
	for _, tag := range []string{"", "t", "t1", "x00000001.", "t00000001", "t0000000x."} {
		if n, ok := numberOf(tag); ok {
			t.Errorf("%q is read as %d", tag, n)
		}
	}
}
