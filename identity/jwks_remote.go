package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How often an issuer is asked.
const (
	minRefresh     = time.Minute      // however short it says that its answer lives
	usualRefresh   = 15 * time.Minute // when it does not say
	minBackoff     = time.Second      // after a failure; doubled each time
	maxBackoff     = 10 * time.Second // up to this while there are no keys at all
	maxStale       = 5 * time.Minute  // and up to this while the last good ones serve
	rediscover     = time.Hour        // how old a discovery document may be
	unknownFor     = time.Minute      // how long a key id that was looked for in vain is not looked for again
	maxUnknown     = 1024             // key ids that are remembered so
	fetchTimeout   = 5 * time.Second  // for an answer, all of it
	maxFetchWaiter = 5 * time.Second  // how long a request waits for a fetch that it needs
)

// remoteKeys is a set of keys that an issuer publishes. Requests read it without
// a lock; a goroutine keeps it fresh. A request makes the issuer be asked only
// for a key that is not known, at most once in a cooldown, all requests together.
type remoteKeys struct {
	where   keysAt
	allowed []string
	client  *outbound
	log     *slog.Logger
	now     func() time.Time

	set  atomic.Pointer[keySet] // nil: there never was one
	told keyCount
	ctx  context.Context // ends with the last configuration that uses it
	stop context.CancelFunc

	started sync.Once
	first   chan struct{}  // closed when the first fetch has ended
	loop    sync.WaitGroup // everything that runs

	mu       sync.Mutex
	flight   *keyFetch            // the fetch that is under way
	asked    time.Time            // when a request made us ask last
	unknown  map[string]time.Time // key ids that were looked for in vain
	jwksURL  string               // as discovered
	found    time.Time            // when
	problem  string               // the last one that was logged
	onChange map[int]func()       // sweeps of the caches that hold keys of the set
	sweepID  int
}

// keysAt says where keys are published.
type keysAt struct {
	issuer   string // found by discovery when url is empty
	url      string
	insecure bool          // cleartext is allowed
	refresh  time.Duration // at most so old
	cooldown time.Duration
}

// keyFetch is one fetch, shared by all who wait for it.
type keyFetch struct {
	done chan struct{}
	life time.Duration // how long the answer lives, by its own word
	err  error
}

func newRemoteKeys(at keysAt, trust CallTLS, allowed []string, log *slog.Logger, now func() time.Time) (*remoteKeys, error) {
	client, err := newOutbound(trust, fetchTimeout)
	if err != nil {
		return nil, err
	}
	client.transport.DisableKeepAlives = true // the next fetch is far away
	r := &remoteKeys{where: at, allowed: allowed, client: client, log: log, now: now, first: make(chan struct{}), unknown: map[string]time.Time{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// start begins to fetch, once, and waits until the first fetch has ended.
func (r *remoteKeys) start(ctx context.Context) {
	r.started.Do(func() { r.loop.Go(r.run) })
	select {
	case <-r.first:
	case <-ctx.Done():
	}
}

// Close ends the fetching and waits until it has ended.
func (r *remoteKeys) Close() {
	r.stop()
	//lint:ignore SA2001 to have waited is the point
	r.mu.Lock() // whoever is about to begin a fetch has begun it, or sees the end
	r.mu.Unlock()
	r.loop.Wait()
	r.client.Close()
}

// run keeps the set fresh.
func (r *remoteKeys) run() {
	failures := 0
	for first := true; ; first = false {
		life, err := r.fetch()
		if first {
			close(r.first)
		}
		pause := min(max(life, minRefresh), r.where.refresh)
		if err != nil {
			limit := maxStale
			if r.set.Load() == nil {
				limit = maxBackoff
			}
			pause = min(minBackoff<<min(failures, 16), limit)
			failures++
		} else {
			failures = 0
		}
		pause -= time.Duration(rand.Int64N(int64(pause/10) + 1)) // many gateways don't ask at once
		select {
		case <-time.After(pause):
		case <-r.ctx.Done():
			return
		}
	}
}

// fetch asks the issuer, or waits for who is asking already.
func (r *remoteKeys) fetch() (life time.Duration, err error) {
	r.mu.Lock()
	f := r.takeoff()
	r.mu.Unlock()
	<-f.done
	return f.life, f.err
}

// takeoff returns the fetch that is under way, or begins one. The caller holds mu.
func (r *remoteKeys) takeoff() *keyFetch {
	if r.flight != nil {
		return r.flight
	}
	f := &keyFetch{done: make(chan struct{})}
	r.flight = f
	r.loop.Go(func() {
		set, life, err := r.ask()
		r.land(f, set, life, err)
	})
	return f
}

func (r *remoteKeys) land(f *keyFetch, set *keySet, life time.Duration, err error) {
	if err == nil {
		set.succeed(r.set.Load())
		r.set.Store(set)
	}
	r.told.note(err, r.now())
	r.mu.Lock()
	f.life, f.err, r.flight = life, err, nil
	r.report(err)
	sweeps := slices.Collect(maps.Values(r.onChange))
	if err != nil {
		r.found = time.Time{} // the address may have changed
	}
	r.mu.Unlock()
	close(f.done)
	for _, sweep := range sweeps { // of what has expired, too
		sweep()
	}
}

// report logs a problem once, not once a fetch, and its end. The caller holds mu.
func (r *remoteKeys) report(err error) {
	if r.ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == r.problem:
	case err == nil:
		r.log.Info("the issuer's keys can be fetched again")
	case r.set.Load() == nil:
		r.log.Error("the issuer's keys can't be fetched: until they can, requests are answered with 503", "error", text)
	default:
		r.log.Warn("the issuer's keys can't be fetched: the last good ones are used", "error", text)
	}
	r.problem = text
}

// missing is called with a key id that is not in the set, or whose key did not
// verify a token. It returns when the set may know better, and reports whether
// it does: the issuer was asked, for this request or another one, and answered
// before ctx was over.
func (r *remoteKeys) missing(ctx context.Context, kid string) bool {
	now := r.now()
	r.mu.Lock()
	f := r.flight
	if f == nil {
		if now.Before(r.unknown[kid]) || now.Sub(r.asked) < r.where.cooldown || r.ctx.Err() != nil {
			r.mu.Unlock()
			return false
		}
		r.asked = now
		if len(r.unknown) >= maxUnknown {
			clear(r.unknown)
		}
		r.unknown[kid] = now.Add(unknownFor)
		f = r.takeoff()
	}
	r.mu.Unlock()
	timeout := time.NewTimer(maxFetchWaiter)
	defer timeout.Stop()
	select {
	case <-f.done:
		return f.err == nil
	case <-ctx.Done():
	case <-timeout.C:
	}
	return false
}

// ask asks the issuer for its keys.
func (r *remoteKeys) ask() (set *keySet, life time.Duration, err error) {
	address := r.where.url
	if address == "" {
		if address, err = r.discover(); err != nil {
			return nil, 0, fmt.Errorf("discovery: %w", err)
		}
	}
	body, head, err := r.get(address)
	if err != nil {
		return nil, 0, err
	}
	set, skipped, err := parseJWKS(body, r.allowed)
	for _, why := range skipped {
		r.log.Debug("a key of the issuer is not used", "why", why.Error())
	}
	return set, lifeOf(head), err
}

// discover returns the address of the keys by the issuer's own word
// (OpenID Connect Discovery 1.0 §4). The document is kept for a while.
func (r *remoteKeys) discover() (string, error) {
	r.mu.Lock()
	address, found := r.jwksURL, r.found
	r.mu.Unlock()
	if address != "" && r.now().Sub(found) < rediscover {
		return address, nil
	}
	body, _, err := r.get(strings.TrimSuffix(r.where.issuer, "/") + "/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	m, err := readObject(body, 1024)
	if err != nil {
		return "", err
	}
	if m["issuer"] != r.where.issuer { // §4.3: exactly
		return "", errors.New("the document is another issuer's")
	}
	address, _ = m["jwks_uri"].(string)
	if err := checkAddress(address, r.where.insecure); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	r.mu.Lock()
	r.jwksURL, r.found = address, r.now()
	r.mu.Unlock()
	return address, nil
}

func (r *remoteKeys) get(address string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(r.ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	req.Header.Set("User-Agent", "gopura")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers with status %d", address, res.StatusCode)
	}
	body, err := readAnswer(res.Body, maxAnswer)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	}
	return body, res.Header, nil
}

// lifeOf is how long an answer lives by its Cache-Control (RFC 9111 §4.2.1),
// its age taken off.
func lifeOf(h http.Header) time.Duration {
	life := usualRefresh
	for _, line := range h.Values("Cache-Control") {
		for part := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "max-age":
				if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && n >= 0 {
					life = time.Duration(n) * time.Second
				}
			case "no-store", "no-cache":
				return 0
			}
		}
	}
	if age, err := strconv.ParseInt(h.Get("Age"), 10, 32); err == nil && age > 0 {
		life -= time.Duration(age) * time.Second
	}
	return max(life, 0)
}

// checkAddress checks the address of something that must not be meddled with on
// the way: https, or http within this machine.
func checkAddress(address string, insecure bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("not an https URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("a URL with a user or a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return errors.New("not an https URL")
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return nil
	}
	if !insecure {
		return errors.New("keys that come over http can be anybody's: an https URL is needed (or insecure: true, within a network that you trust)")
	}
	return nil
}

// sweeps registers what is to run when the set has changed; forget takes it out.
func (r *remoteKeys) sweeps(f func()) (forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.onChange == nil {
		r.onChange = map[int]func(){}
	}
	r.sweepID++
	id := r.sweepID
	r.onChange[id] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.onChange, id)
	}
}
