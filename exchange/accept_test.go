package exchange

import (
	"fmt"
	"testing"
)

func TestAccepted(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"text/html":                     "text/html 1000,",
		" a/b ;q=0.5, c/d;x=1; Q=0.25":  "a/b 500,c/d 250,",
		"a/b;q=2, c/d;q=, e/f;q=0,,;,*": "a/b 0,c/d 0,e/f 0,* 1000,",
	} {
		var h Header
		h.Add("Accept", in)
		got := ""
		for media, q := range Accepted(&h) {
			got += fmt.Sprintf("%s %d,", media, q)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
