package store

import (
	"strings"
	"testing"
)

func TestGuardedReplies(t *testing.T) {
	good := []string{
		"+OK\r\n", "-ERR no\r\n", ":12\r\n", "$5\r\nhe\nlo\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n",
		"*3\r\n:1\r\n$1\r\nx\r\n*2\r\n+a\r\n_\r\n", "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n#t\r\n", ">3\r\n+message\r\n+a\r\n+b\r\n",
		"=7\r\ntxt:abc\r\n", ",1.5\r\n", "(123\r\n", "!5\r\nERR x\r\n", "~1\r\n:1\r\n",
	}
	bad := []string{
		"HTTP/1.1 200 OK\r\n", "*2147483647\r\n", "$9223372036854775807\r\n", "$1048577\r\n", "%70000\r\n", "*x\r\n", "*?\r\n",
		strings.Repeat("*1\r\n", 20), "*100000\r\n*100000\r\n", "+" + strings.Repeat("x", 70000), "\x00",
	}
	for _, s := range good {
		var whole, bytes replies
		if err := whole.feed([]byte(strings.Repeat(s, 3))); err != nil || len(whole.open) > 0 || whole.items != 0 || whole.kind != 0 || whole.skip != 0 {
			t.Errorf("%q: %v, then %+v", s, err, whole)
		}
		for i := range len(s) {
			if err := bytes.feed([]byte(s[i : i+1])); err != nil {
				t.Errorf("%q, byte by byte: %v", s, err)
			}
		}
	}
	for _, s := range bad {
		if err := new(replies).feed([]byte(s)); err == nil {
			t.Errorf("%.40q is read", s)
		}
	}
}

func FuzzGuardedReplies(f *testing.F) {
	f.Add([]byte("*3\r\n:1\r\n$1\r\nx\r\n*2\r\n+a\r\n_\r\n"), 3)
	f.Add([]byte("%2\r\n+a\r\n:1\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		var whole, parts replies
		a := whole.feed(b)
		c := parts.feed(b[:cut])
		if c == nil {
			c = parts.feed(b[cut:])
		}
		if (a == nil) != (c == nil) {
			t.Fatalf("in one piece %v, in two %v", a, c)
		}
		if len(whole.open) > replyDepth || whole.items > replyItems && a == nil || whole.items < 0 {
			t.Fatalf("%+v", whole)
		}
	})
}
