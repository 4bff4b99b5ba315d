package cache

import (
	"bytes"
	"time"

	"gopura/exchange"
)

// control is what Cache-Control says (RFC 9111 §5.2). A time that is not there
// is less than 0.
type control struct {
	present                                   bool
	noStore, noCache, private, public         bool
	mustRevalidate, proxyRevalidate           bool
	maxAge, sMaxAge, staleWhile, staleIfError time.Duration
}

const absent = time.Duration(-1)

// parseControl reads the Cache-Control fields of a message. What can't be read
// counts as the more careful of what it may have been.
func parseControl(h *exchange.Header) control {
	c := control{maxAge: absent, sMaxAge: absent, staleWhile: absent, staleIfError: absent}
	for _, f := range h.Fields() {
		if len(f.Name) != len("cache-control") || !exchange.EqualFold(f.Name, "cache-control") {
			continue
		}
		c.present = true
		for rest := f.Value; len(rest) > 0; {
			rest = c.directive(rest)
		}
	}
	return c
}

// directive reads one directive and returns what follows it.
func (c *control) directive(b []byte) (rest []byte) {
	b = bytes.TrimLeft(b, ", \t")
	n := bytes.IndexAny(b, "=, \t")
	if n < 0 {
		n = len(b)
	}
	name, value := b[:n], []byte(nil)
	rest = b[n:]
	if len(rest) > 0 && rest[0] == '=' {
		rest = rest[1:]
		if len(rest) > 0 && rest[0] == '"' {
			end := bytes.IndexByte(rest[1:], '"')
			if end < 0 {
				c.noStore = true // it may have said anything
				return nil
			}
			value, rest = rest[1:1+end], rest[end+2:]
		} else {
			end := bytes.IndexAny(rest, ", \t")
			if end < 0 {
				end = len(rest)
			}
			value, rest = rest[:end], rest[end:]
		}
	}
	switch {
	case exchange.EqualFold(name, "no-store"):
		c.noStore = true
	case exchange.EqualFold(name, "no-cache"): // with fields: as if for all of it
		c.noCache = true
	case exchange.EqualFold(name, "private"):
		c.private = true
	case exchange.EqualFold(name, "public"):
		c.public = true
	case exchange.EqualFold(name, "must-revalidate"):
		c.mustRevalidate = true
	case exchange.EqualFold(name, "proxy-revalidate"):
		c.proxyRevalidate = true
	case exchange.EqualFold(name, "max-age"):
		least(&c.maxAge, value)
	case exchange.EqualFold(name, "s-maxage"):
		least(&c.sMaxAge, value)
	case exchange.EqualFold(name, "stale-while-revalidate"):
		least(&c.staleWhile, value)
	case exchange.EqualFold(name, "stale-if-error"):
		least(&c.staleIfError, value)
	}
	return rest
}

// least sets d to the seconds that value says, unless it is less already: of a
// directive that is there twice, the one that is more careful counts.
func least(d *time.Duration, value []byte) {
	if v := seconds(value); *d < 0 || v < *d {
		*d = v
	}
}

// seconds reads delta-seconds (RFC 9111 §1.2.2); what is no number is 0.
func seconds(b []byte) time.Duration {
	const most = 1<<31 - 1
	if len(b) == 0 {
		return 0
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		if n = n*10 + int64(c-'0'); n > most {
			n = most
		}
	}
	return time.Duration(n) * time.Second
}

// parseDate reads an HTTP date (RFC 9110 §5.6.7), also an obsolete one.
func parseDate(b []byte) (time.Time, bool) {
	if len(b) == 0 || len(b) > 40 {
		return time.Time{}, false
	}
	for _, layout := range []string{httpDate, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, string(b)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"
