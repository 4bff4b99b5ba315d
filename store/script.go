package store

import (
	"crypto/sha1"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

//go:embed script_rate.lua
var rateSource string

//go:embed script_window.lua
var windowSource string

// script is what runs inside Redis: it reads and writes one key, so that it
// works in a cluster, and gives every key that it writes a time to live.
type script struct{ source, sha string }

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source, hex.EncodeToString(sum[:])}
}

var (
	rateScript   = newScript(rateSource)
	windowScript = newScript(windowSource)
)

// ask is one call of a script: add settle to what is used, whatever that makes
// of it (below 0: give back, to the slot back first), then grant as much as
// there is, from least to want, or nothing.
type ask struct {
	settle, want, least int64
	back                int64
}

// answer is what a script said.
type answer struct {
	granted   int64
	remaining int64         // that the bucket or window still has
	retry     time.Duration // until least can be had; 0: now
	reset     time.Duration // until all is had again
	slot      int64         // in which it was granted
}

var errGarbage = errors.New("an answer that is not one of our scripts'")

// shape is a kind of limit as the scripts see it.
type shape interface {
	script() *script
	limit() int64
	tag() string // part of the Redis key: what must be equal for the state to be shared
	// args are the script's arguments, at a time of this process's clock that is
	// corrected to the server's.
	args(a ask, now time.Time, clientTime bool) []string
	read(a ask, values []int64, now time.Time) (answer, error)
	span(tokens int64) time.Duration // about how long tokens take to come back
	kind() string
	String() string
}

// owedMost is how many whole limits a key can owe, when replicas went ahead of
// the store: what is more is forgiven.
const owedMost = 8

func micros(now time.Time, client bool) string {
	if !client {
		return ""
	}
	return strconv.FormatInt(now.UnixMicro(), 10)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

type rateShape struct {
	Rate
	token, whole   int64
	tokenS, wholeS string // as the script wants them
	owedS          string
}

func newRateShape(r Rate) *rateShape {
	token := int64(r.Token())
	whole := token * r.Burst
	return &rateShape{Rate: r, token: token, whole: whole, tokenS: number(token), wholeS: number(whole), owedS: number(owedMost * whole)}
}

func (s *rateShape) script() *script            { return rateScript }
func (s *rateShape) limit() int64               { return s.Burst }
func (s *rateShape) tag() string                { return "rate" }
func (s *rateShape) kind() string               { return "rate" }
func (s *rateShape) span(n int64) time.Duration { return time.Duration(n * s.token) }

func (s *rateShape) args(a ask, now time.Time, client bool) []string {
	return []string{micros(now, client), number(a.settle * s.token), number(a.want), number(a.least), s.tokenS, s.wholeS, s.owedS}
}

func (s *rateShape) read(a ask, v []int64, _ time.Time) (answer, error) {
	if len(v) != 3 || v[0] < 0 || v[0] > a.want || v[1] < 0 || v[1] > owedMost*s.whole {
		return answer{}, errGarbage
	}
	debt := v[1]
	return answer{
		granted:   v[0],
		remaining: max((s.whole-debt)/s.token, 0),
		retry:     time.Duration(max(debt+max(a.least, 1)*s.token-s.whole, 0)),
		reset:     time.Duration(debt),
	}, nil
}

type windowShape struct {
	Window
	slotMicros int64
}

func newWindowShape(w Window) *windowShape {
	return &windowShape{w, int64((w.slot() + time.Microsecond - 1) / time.Microsecond)}
}

func (s *windowShape) script() *script { return windowScript }
func (s *windowShape) limit() int64    { return s.Count }
func (s *windowShape) kind() string    { return "quota" }
func (s *windowShape) span(n int64) time.Duration {
	return time.Duration(float64(s.Per) / float64(s.Count) * float64(n))
}

func (s *windowShape) tag() string {
	if s.Calendar {
		return "calendar-" + s.Per.String() + "-" + s.Zone.String()
	}
	return "rolling-" + s.Per.String()
}

func (s *windowShape) args(a ask, now time.Time, client bool) []string {
	length, slots, start, ttl := s.slotMicros, int64(Slots), int64(0), int64(0)
	if s.Calendar {
		from, to := s.Span(now)
		length, slots, start, ttl = 0, 0, from.Unix(), to.Sub(now).Milliseconds()+1
	}
	return []string{
		micros(now, client), number(length), number(start), number(slots), number(s.Count), number(owedMost * s.Count),
		number(a.settle), number(a.want), number(a.least), number(a.back), number(ttl),
	}
}

func (s *windowShape) read(a ask, v []int64, now time.Time) (answer, error) {
	if len(v) != 6 || v[0] < 0 || v[0] > a.want || v[1] < 0 || v[1] > owedMost*s.Count || v[4] < 0 || v[5] < 0 {
		return answer{}, errGarbage
	}
	r := answer{granted: v[0], remaining: max(s.Count-v[1], 0), slot: v[3]}
	r.retry, r.reset = time.Duration(v[4])*time.Microsecond, time.Duration(v[5])*time.Microsecond
	if s.Calendar && v[1] > 0 {
		_, end := s.Span(now)
		r.reset = end.Sub(now)
		if v[1]+max(a.least, 1) > s.Count {
			r.retry = r.reset
		}
	}
	return r, nil
}

// redisKey names the one Redis key of a limiter's key. The key itself may be
// long, or nobody's business: its hash stands for it.
func redisKey(prefix string, key []byte) string {
	sum := sha256.Sum256(key)
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], sum[:16])
	return prefix + string(text[:])
}

// keyPrefix is what the keys of a limiter begin with. A brace would choose the
// slot of a cluster.
func keyPrefix(prefix, name string, s shape) string {
	return strings.NewReplacer("{", "(", "}", ")").Replace(fmt.Sprintf("%s:%s:%s:", prefix, name, s.tag()))
}
