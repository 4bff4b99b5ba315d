package exchange

import (
	"sync/atomic"
	"time"
)

// DateCache formats the value of Date once a second. It is safe for concurrent use.
type DateCache struct {
	p atomic.Pointer[datedSecond]
}

type datedSecond struct {
	unix int64
	text string
}

// At returns the date of now.
func (d *DateCache) At(now time.Time) string {
	sec := now.Unix()
	p := d.p.Load()
	if p == nil || p.unix != sec {
		p = &datedSecond{sec, now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")} // RFC 9110 §5.6.7
		d.p.Store(p)
	}
	return p.text
}
