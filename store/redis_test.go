package store

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestExactIsExact: four replicas that ask at the same time get, together, what
// one alone would.
func TestExactIsExact(t *testing.T) {
	srv := startServer(t)
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		s := srv.open(RedisOptions{Mode: Exact, Timeout: 2 * time.Second})
		l := rate(t, s, "hourly", Rate{Count: 100, Per: time.Hour})
		q := window(t, s, "quota", Window{Count: 60, Per: time.Hour})
		for range 4 {
			all.Go(func() {
				for range 50 {
					if l.Take([]byte("alice"), 1).Allowed && q.Take([]byte("alice"), 1).Allowed {
						admitted.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	if n := admitted.Load(); n != 60 {
		t.Errorf("admitted %d, want 60", n)
	}
}

func TestExactAnswers(t *testing.T) {
	srv := startServer(t)
	s := srv.open(RedisOptions{Mode: Exact})
	l := rate(t, s, "l", Rate{Count: 2, Per: time.Hour})
	key := []byte("bob")
	if d, known := l.Peek(key); known || !d.Allowed || d.Remaining != 2 {
		t.Errorf("peek at an unknown key: %+v, %v", d, known)
	}
	if d := l.Take(key, 1); !d.Allowed || d.Remaining != 1 || d.Limit != 2 || d.RetryAfter != 0 {
		t.Errorf("first: %+v", d)
	}
	l.Charge(key, 1)
	eventually(t, 20*time.Second, "the charge counts", func() bool { d, ok := l.Peek(key); return ok && d.Remaining == 0 })
	d := l.Take(key, 1)
	if d.Allowed || d.RetryAfter < 29*time.Minute || d.RetryAfter > 30*time.Minute || d.ResetAfter < 59*time.Minute {
		t.Errorf("third: %+v", d)
	}
	if top := l.Top(3); len(top) != 1 || top[0].Key != "bob" || top[0].Refused != 1 {
		t.Errorf("top: %+v", top)
	}
	// The numbers change while it is open: what is used stays.
	l2 := rate(t, s, "l", Rate{Count: 4, Per: time.Hour})
	if d := l2.Take(key, 1); d.Allowed || d.Limit != 4 {
		t.Errorf("after the change: %+v", d)
	}
	if err := l2.Reset(key); err != nil {
		t.Fatal(err)
	}
	if d := l.Take(key, 9); !d.Allowed || d.Remaining != 0 {
		t.Errorf("after the reset, a cost above the limit: %+v", d)
	}
	if d := l.Take(key, 0); !d.Allowed {
		t.Errorf("nothing costs nothing: %+v", d)
	}
}

func TestLeasedAnswers(t *testing.T) {
	srv := startServer(t)
	s := srv.open(RedisOptions{})
	l := rate(t, s, "l", Rate{Count: 5, Per: time.Hour})
	key := []byte("bob")
	for i := range int64(5) {
		// As a lease comes, less may be said to be left than is.
		if d := l.Take(key, 1); !d.Allowed || d.Remaining > 4-i || d.Degraded {
			t.Errorf("take %d: %+v", i, d)
		}
	}
	// The sixth may come before the store has been told: it is refused all the same.
	if d := l.Take(key, 1); d.Allowed || d.Remaining != 0 || d.RetryAfter <= 0 {
		t.Errorf("too many: %+v", d)
	}
	other := rate(t, srv.open(RedisOptions{}), "l", Rate{Count: 5, Per: time.Hour})
	eventually(t, 20*time.Second, "another replica sees it", func() bool { d, ok := other.Peek(key); return ok && d.Remaining == 0 })
	if err := l.Reset(key); err != nil {
		t.Fatal(err)
	}
	if d := l.Take(key, 1); !d.Allowed {
		t.Errorf("after the reset: %+v", d)
	}
	if s.Find("l") == nil || s.Find("m") != nil {
		t.Error("Find")
	}
	st := s.State()
	if st.Kind != "redis" || !st.Ready || len(st.Limiters) != 1 || st.Limiters[0].Keys != 1 || st.Redis.Calls == 0 {
		t.Errorf("state: %+v %+v", st, st.Redis)
	}
}

// TestEveryKeyExpires: what is in Redis has a time to live of at most the window
// (and one slot of a rolling one), and names nobody.
func TestEveryKeyExpires(t *testing.T) {
	srv := startServer(t)
	for _, mode := range []Mode{Leased, Exact} {
		s := srv.open(RedisOptions{Mode: mode})
		limiters := []Limiter{
			rate(t, s, "r{x}", Rate{Count: 100, Per: time.Minute}),
			window(t, s, "w", Window{Count: 100, Per: time.Minute}),
			window(t, s, "c", Window{Count: 100, Per: time.Minute, Calendar: true}),
		}
		for i := range 300 {
			for _, l := range limiters {
				l.Take(fmt.Appendf(nil, "alice-%d", i%100), 1)
			}
		}
	}
	c := srv.client()
	eventually(t, 20*time.Second, "300 keys", func() bool {
		n, _ := c.Do(t.Context(), c.B().Dbsize().Build()).AsInt64()
		return n >= 300
	})
	keys, err := c.Do(t.Context(), c.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		ttl, _ := c.Do(t.Context(), c.B().Pttl().Key(k).Build()).AsInt64()
		if ttl == -1 || ttl > 64_000 {
			t.Errorf("%s lives %dms", k, ttl)
		}
		if strings.Contains(k, "alice") || strings.ContainsAny(k, "{}") {
			t.Errorf("key %s", k)
		}
	}
}

// TestQuietLeasesGoBack: what a replica holds and does not use is another's
// within seconds, and the keys leave its memory.
func TestQuietLeasesGoBack(t *testing.T) {
	srv := startServer(t)
	s := srv.open(RedisOptions{})
	l := rate(t, s, "l", Rate{Count: 1000, Per: 30 * Day})
	key := []byte("k")
	used := int64(0)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if l.Take(key, 1).Allowed {
			used++
		}
	}
	e := l.(*leasedLimiter).leases.find(key)
	if e == nil {
		t.Fatal("no lease")
	}
	other := rate(t, srv.open(RedisOptions{}), "l", Rate{Count: 1000, Per: 30 * Day})
	eventually(t, 20*time.Second, "it went back", func() bool { d, _ := other.Peek(key); return d.Remaining == 1000-used })
	eventually(t, 20*time.Second, "it was forgotten", func() bool { n, _ := l.(*leasedLimiter).leases.size(); return n == 0 })
}

// TestCloseGivesBack: a replica that ends leaves nothing behind.
func TestCloseGivesBack(t *testing.T) {
	srv := startServer(t)
	s := srv.open(RedisOptions{})
	l := rate(t, s, "l", Rate{Count: 1000, Per: 30 * Day})
	used := int64(0)
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if l.Take([]byte("k"), 1).Allowed {
			used++
		}
	}
	s.Close()
	other := rate(t, srv.open(RedisOptions{}), "l", Rate{Count: 1000, Per: 30 * Day})
	if d, _ := other.Peek([]byte("k")); d.Remaining != 1000-used {
		t.Errorf("used %d of 1000, %d are left", used, d.Remaining)
	}
}

// TestMoreKeysThanRoom: keys beyond the bound are decided here, and counted.
func TestMoreKeysThanRoom(t *testing.T) {
	srv := startServer(t)
	s := srv.open(RedisOptions{})
	l, err := s.Rate("l", Rate{Count: 10, Per: time.Hour}, LimiterOptions{MaxKeys: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 20_000 {
		if d := l.Take(fmt.Appendf(nil, "key %d", i), 1); !d.Allowed && !d.Degraded {
			t.Fatalf("key %d: %+v", i, d)
		}
	}
	if st := s.State().Limiters[0]; st.Keys > 1000 || st.MaxKeys > 1000 {
		t.Errorf("%+v", st)
	}
}

func TestRedisOptions(t *testing.T) {
	for _, o := range []RedisOptions{
		{},
		{Addresses: []string{"x:1"}, Mode: "sometimes"},
		{Addresses: []string{"x:1"}, OnFailure: "panic"},
		{Addresses: []string{"x:1"}, Timeout: time.Microsecond},
		{Addresses: []string{"x:1"}, Cluster: true, DB: 1},
	} {
		if s, err := OpenRedis(o); err == nil {
			s.Close()
			t.Errorf("%+v is taken", o)
		}
	}
	o, err := ParseRedisURL("redis://me:secret@localhost:6380/2")
	if err != nil || o.Addresses[0] != "localhost:6380" || o.DB != 2 || o.Username != "me" || o.Password != "secret" {
		t.Errorf("%+v %v", o, err)
	}
	if _, err := ParseRedisURL("http://me:secret@x"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
