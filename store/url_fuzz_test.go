package store

import (
	"strings"
	"testing"
)

// FuzzRedisURL: an address that is none is refused without a word of it, for it may
// hold a password.
func FuzzRedisURL(f *testing.F) {
	for _, s := range []string{"redis://u:p4ssword@h:6379/0", "rediss://h", "unix:///a?db=1", "redis://h/x", "redis://h?master_set=m&addr=h2", "redis://h?dial_timeout=x", "redis://%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseRedisURL(text)
		if err != nil && len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats it: %v", err)
		}
		if err == nil && len(o.Addresses) == 0 {
			t.Errorf("%q has no address", text)
		}
	})
}
