package demo

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// swell is how long the visitors' number takes to rise and fall once.
const swell = 3 * time.Minute

// most is how many requests are on their way at once; when the gateway takes
// its time, visitors wait.
const most = 32

var agents = []string{"Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0", "curl/8.14.1", "shop-app/4.2 (Android 16)", "okhttp/5.3.0", "Googlebot/2.1"}

// Traffic sends what visitors of the shop would send to server, such as
// http://localhost:8080, about rate requests a second, until ctx is over.
func (s *Services) Traffic(ctx context.Context, server string, rate float64) {
	tries := s.Tries()
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: most},
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	slots := make(chan struct{}, most)
	start := time.Now()
	for {
		now := rate * (1 + 0.5*math.Sin(2*math.Pi*float64(time.Since(start))/float64(swell)))
		wait := time.NewTimer(time.Duration(rand.ExpFloat64() / now * float64(time.Second)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		t := pick(tries)
		select {
		case slots <- struct{}{}:
			go func() {
				defer func() { <-slots }()
				visit(ctx, client, server, t)
			}()
		default: // it is slow, and nobody waits outside
		}
	}
}

// pick prefers the first, as visitors do: users and orders more than errors.
// They only look: nobody could send so many parcels.
func pick(tries []Try) Try {
	for {
		i := int(rand.ExpFloat64() * float64(len(tries)) / 3)
		if i < len(tries) && !tries[i].Admin && tries[i].Method != http.MethodPost {
			return tries[i]
		}
	}
}

func visit(ctx context.Context, client *http.Client, server string, t Try) {
	method := t.Method
	if method == "" {
		method = http.MethodGet
	}
	path := strings.Replace(t.Path, "42", strconv.Itoa(40+rand.IntN(4)), 1)
	r, err := http.NewRequestWithContext(ctx, method, server+path, strings.NewReader(t.Body))
	if err != nil {
		return
	}
	r.Header.Set("User-Agent", agents[rand.IntN(len(agents))])
	for _, h := range t.Header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	if res, err := client.Do(r); err == nil {
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}
