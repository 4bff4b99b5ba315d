package cache

import (
	"net/http"
	"testing"
)

// A date is what the standard library takes it for.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "0", "Mon, 32 Jan 2006 15:04:05 GMT", "Sun, 06 Nov 1994 08:49:60 GMT", "Sun, 06 Nov 99999 08:49:37 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseDate([]byte(text))
		want, err := http.ParseTime(text)
		if ok && (err != nil || !got.Equal(want)) || !ok && err == nil && len(text) <= 40 {
			t.Errorf("%q is %v, %v and %v, %v", text, got, ok, want, err)
		}
	})
}
