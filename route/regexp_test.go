package route

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// TestMeeting compares the walk through two automata with trying every short
// text.
func TestMeeting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{""}
	for i := 0; len(texts[i]) < 9; i++ {
		texts = append(texts, texts[i]+"a", texts[i]+"b")
	}
	met := 0
	for range 1000 {
		a, b := regexp.MustCompile(randomRegexp(r, 2)), regexp.MustCompile(randomRegexp(r, 2))
		want := slices.ContainsFunc(texts, func(s string) bool { return a.MatchString(s) && b.MatchString(s) })
		if want {
			met++
		}
		m := meeting{budget: regexpBudget}
		x, y := (&Value{Kind: Regexp, Regexp: a}).program(), (&Value{Kind: Regexp, Regexp: b}).program()
		if got := m.possible(x, y); got != want {
			t.Fatalf("%s and %s: got %v, want %v", a, b, got, want)
		}
	}
	t.Logf("%d of 1000 pairs meet", met)
}

// TestMeetingBudget: a budget that is used up is a no, never a long wait.
func TestMeetingBudget(t *testing.T) {
	v := Value{Kind: Regexp, Regexp: regexp.MustCompile("(a?){500}(b?){500}c")}
	m := meeting{budget: regexpBudget}
	for range 100 {
		m.possible(v.program(), v.program())
	}
	if m.budget > 0 {
		t.Errorf("%d steps left: the test asks too little", m.budget)
	}
}

func randomRegexp(r *rand.Rand, depth int) string {
	sub := func() string { return randomRegexp(r, depth-1) }
	if depth == 0 {
		return []string{"a", "b", ".", "(?i:B)", "[^a]", "(?:)"}[r.IntN(6)]
	}
	switch r.IntN(8) {
	case 0:
		return "(" + sub() + "|" + sub() + ")"
	case 1:
		return "(?:" + sub() + ")*"
	case 2:
		return "(?:" + sub() + ")?"
	case 3:
		return "^" + sub()
	case 4:
		return sub() + "$"
	case 5:
		return "(?:" + sub() + "){2}"
	}
	return sub() + sub()
}
