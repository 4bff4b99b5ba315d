package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gopura/config"
	"gopura/exchange"
)

// provider is a small OpenID provider where everybody is ada, unless told otherwise.
type provider struct {
	*httptest.Server
	t   testing.TB
	w   *world // whose clock it goes by
	key *rsa.PrivateKey

	mu       sync.Mutex
	codes    map[string]url.Values // of the authorization requests
	refresh  map[string]bool       // refresh tokens that are good, once
	refused  bool                  // the token endpoint says invalid_grant
	down     bool                  // nothing answers
	keysAt   string                // another address of the keys
	claims   func(map[string]any)  // changes the claims of ID tokens
	logins   int
	renewals int
	loggedIn bool
	life     int // seconds that tokens live
}

func newProvider(t testing.TB, w *world) *provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, w: w, key: key, codes: map[string]url.Values{}, refresh: map[string]bool{}, life: 300}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("/keys", p.keys)
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/end", p.end)
	p.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *provider) discovery(rw http.ResponseWriter, _ *http.Request) {
	keys := p.URL + "/keys"
	p.set(func() {
		if p.keysAt != "" {
			keys = p.keysAt
		}
	})
	json.NewEncoder(rw).Encode(map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": keys,
		"end_session_endpoint": p.URL + "/end", "id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (p *provider) keys(rw http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(rw).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
}

func (p *provider) authorize(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != "shop" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || !strings.Contains(q.Get("scope"), "openid") {
		http.Error(rw, "bad authorization request", 400)
		return
	}
	code := randomText()
	p.set(func() { p.codes[code] = q; p.logins++; p.loggedIn = true })
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	http.Redirect(rw, r, q.Get("redirect_uri")+"?"+back.Encode(), 302)
}

func (p *provider) token(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rw.Header().Set("Content-Type", "application/json")
	refuse := func(code string) {
		rw.WriteHeader(400)
		fmt.Fprintf(rw, `{"error":%q,"error_description":"planted description"}`, code)
	}
	if id, secret, ok := r.BasicAuth(); !ok || id != "shop" || secret != "client-s3cret" {
		rw.WriteHeader(401)
		fmt.Fprint(rw, `{"error":"invalid_client"}`)
		return
	}
	claims := map[string]any{"iss": p.URL, "aud": "shop", "sub": "ada", "email": "ada@example.com", "iat": p.w.clock().Unix(), "exp": p.w.clock().Unix() + int64(p.life)}
	switch {
	case p.refused:
		refuse("invalid_grant")
		return
	case r.PostFormValue("grant_type") == "refresh_token":
		old := r.PostFormValue("refresh_token")
		if !p.refresh[old] {
			refuse("invalid_grant")
			return
		}
		delete(p.refresh, old)
		p.renewals++
	default:
		q, ok := p.codes[r.PostFormValue("code")]
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") {
			refuse("invalid_grant")
			return
		}
		delete(p.codes, r.PostFormValue("code"))
		claims["nonce"] = q.Get("nonce")
	}
	if p.claims != nil {
		p.claims(claims)
	}
	next := randomText()
	p.refresh[next] = true
	json.NewEncoder(rw).Encode(map[string]any{
		"access_token": "access-" + next, "token_type": "Bearer", "expires_in": p.life, "refresh_token": next, "id_token": p.sign(claims),
	})
}

func (p *provider) sign(claims map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: p.key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		p.t.Error(err)
		return ""
	}
	body, _ := json.Marshal(claims)
	o, err := s.Sign(body)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	text, _ := o.CompactSerialize()
	return text
}

func (p *provider) end(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != "shop" || strings.Count(q.Get("id_token_hint"), ".") != 2 {
		http.Error(rw, "bad logout", 400)
		return
	}
	p.set(func() { p.loggedIn = false })
	http.Redirect(rw, r, q.Get("post_logout_redirect_uri"), 302)
}

// site is a site behind a source, and a browser in front of it.
type site struct {
	*httptest.Server
	t       testing.TB
	w       *world
	source  Source
	browser *http.Client
}

func newSite(t testing.TB, w *world, source Source) *site {
	s := &site{t: t, w: w, source: source}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.browser = s.newBrowser()
	return s
}

func (s *site) newBrowser() *http.Client {
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// ServeHTTP asks the source as the gateway does.
func (s *site) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	x := request(r.Method, r.URL.RequestURI())
	x.Request.Scheme, x.Request.Authority = "http", []byte(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			x.Request.Header.Add(name, v)
		}
	}
	id, err := s.source.Identify(x)
	for _, f := range x.Response.Header.Fields() {
		rw.Header().Add(string(f.Name), string(f.Value))
	}
	switch {
	case err == Answered:
		rw.WriteHeader(x.Response.Status)
	case err == None:
		rw.WriteHeader(401)
	case err != nil:
		rw.WriteHeader(exchange.AsError(err).Status)
		fmt.Fprint(rw, exchange.AsError(err).Error())
	default:
		fmt.Fprintf(rw, "%s at %s, email=%v cookie=%q authorization=%q", id.Sub, r.URL.RequestURI(), id.Claims["email"],
			x.Request.Header.Get("Cookie"), x.Request.Header.Get("Authorization"))
	}
	if strings.Contains(string(x.Request.Target), "code=") {
		s.t.Errorf("a record would show the code: %s", x.Request.Target)
	}
}

// visit follows where a browser is led and returns the last page.
func (s *site) visit(path string, fields ...string) (status int, body string) {
	s.t.Helper()
	resp := s.get(s.browser, path, fields...)
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func (s *site) get(c *http.Client, path string, fields ...string) *http.Response {
	s.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = s.URL + path
	}
	r, _ := http.NewRequest("GET", path, nil)
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// step does one request without following.
func (s *site) step(c *http.Client, path string, fields ...string) *http.Response {
	still := *c
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp := s.get(&still, path, fields...)
	resp.Body.Close()
	return resp
}

func (p *provider) spec() *OIDC {
	return &OIDC{
		Issuer: p.URL, ClientID: "shop", Secret: config.NewSecret("client-s3cret"), Scopes: []string{"openid", "email"}, Callback: "/oauth2/callback",
		Logout: "/oauth2/logout", AfterLogout: "/bye", Login: true, Upstream: "none", Timeout: 2 * time.Second,
		Session: OIDCSession{MaxAge: time.Hour, Insecure: true, Keys: []config.Secret{config.NewSecret("0123456789abcdef0123456789abcdef")}},
	}
}

func expectPage(t testing.TB, status int, body string, wantStatus int, want string) {
	t.Helper()
	if status != wantStatus || !strings.Contains(body, want) {
		t.Errorf("got %d %q, want %d with %q", status, body, wantStatus, want)
	}
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	spec := p.spec()
	spec.Upstream = "access_token"
	s := newSite(t, w, w.compile(spec))

	// A page leads to the issuer and back to where the browser wanted to go.
	status, body := s.visit("/orders/7?x=%20y")
	expectPage(t, status, body, 200, `ada at /orders/7?x=%20y, email=ada@example.com cookie="" authorization="Bearer access-`)
	// From now on nothing but the page.
	status, body = s.visit("/other", "Cookie: mine=1")
	expectPage(t, status, body, 200, "ada at /other")
	if !strings.Contains(body, `cookie="mine=1"`) {
		t.Errorf("the service gets %s", body)
	}
	if p.logins != 1 {
		t.Errorf("%d logins", p.logins)
	}
	for _, c := range s.browser.Jar.Cookies(mustURL(s.URL)) {
		// Three letters may stand in any long sealed text by chance; an address can't.
		if strings.Contains(c.Value, "ada@") || strings.Contains(c.Value, "email") || c.Name != "gopura-test" {
			t.Errorf("the browser keeps %s=%s", c.Name, c.Value)
		}
	}
	// What is no page is not redirected.
	stranger := s.newBrowser()
	for _, fields := range [][]string{{"Accept: application/json"}, {"Sec-Fetch-Mode: cors"}, {"Accept: */*"}} {
		if resp := s.step(stranger, "/api", fields...); resp.StatusCode != 401 || len(resp.Cookies()) != 0 {
			t.Errorf("%v: got %d", fields, resp.StatusCode)
		}
	}
	// Logout ends it here, also for who has kept the cookie, and there.
	kept := s.browser.Jar.Cookies(mustURL(s.URL))
	if resp := s.step(s.browser, "/oauth2/logout", "Sec-Fetch-Site: cross-site"); resp.StatusCode != 401 {
		t.Errorf("a logout from elsewhere: %d", resp.StatusCode)
	}
	resp := s.step(s.browser, "/oauth2/logout")
	if to := resp.Header.Get("Location"); resp.StatusCode != 303 || !strings.HasPrefix(to, p.URL+"/end?") {
		t.Errorf("logout: %d to %s", resp.StatusCode, to)
	}
	s.step(s.browser, resp.Header.Get("Location"))
	if p.loggedIn {
		t.Error("the issuer still knows the browser")
	}
	if resp := s.step(s.browser, "/orders"); resp.StatusCode != 302 {
		t.Errorf("after the logout: %d", resp.StatusCode)
	}
	thief := s.newBrowser()
	thief.Jar.SetCookies(mustURL(s.URL), kept)
	if resp := s.step(thief, "/api", "Accept: */*"); resp.StatusCode != 401 {
		t.Errorf("a kept cookie after the logout: %d", resp.StatusCode)
	}
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// The cookies say what browsers have to do with them.
func TestCookieAttributes(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	spec := p.spec()
	spec.Session.Insecure = false
	source := w.compile(spec)
	x := request("GET", "/", "Accept: text/html")
	expect(t, source, x, "answered")
	cookie := string(x.Response.Header.Get("Set-Cookie"))
	if !strings.HasPrefix(cookie, "__Host-gopura-test-login=") || !strings.HasSuffix(cookie, "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookie %s", cookie)
	}
	to := mustURL(string(x.Response.Header.Get("Location")))
	if got := to.Query().Get("redirect_uri"); got != "https://shop.example.com/oauth2/callback" {
		t.Errorf("redirect_uri %s", got)
	}
	if string(x.Response.Header.Get("Cache-Control")) != "no-store" {
		t.Errorf("headers %s", fieldsOf(&x.Response.Header))
	}
}

// A callback works once, in the browser that began the login, with the state
// that we gave it.
func TestCallbackIsBound(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	s := newSite(t, w, w.compile(p.spec()))
	begin := func(c *http.Client) string { // up to the way back
		t.Helper()
		resp := s.step(c, "/page")
		return s.step(c, resp.Header.Get("Location")).Header.Get("Location")
	}
	back := begin(s.browser)
	refused := func(what string, c *http.Client, to string) {
		t.Helper()
		resp := s.step(c, to)
		if resp.StatusCode != 401 || resp.Header.Get("Location") != "" {
			t.Errorf("%s: got %d to %s", what, resp.StatusCode, resp.Header.Get("Location"))
		}
		for _, cookie := range resp.Cookies() {
			if cookie.MaxAge >= 0 {
				t.Errorf("%s: sets %s", what, cookie)
			}
		}
	}
	u := mustURL(back)
	change := func(name, value string) string {
		q := u.Query()
		if value == "" {
			q.Del(name)
		} else {
			q.Set(name, value)
		}
		return u.Path + "?" + q.Encode()
	}
	refused("a browser without the login", s.newBrowser(), back)
	other := s.newBrowser()
	begin(other)
	refused("a browser with another login", other, back)
	refused("no state", s.browser, change("state", ""))
	refused("another state", s.browser, change("state", u.Query().Get("state")+"A"))
	refused("two states", s.browser, back+"&state=x")
	refused("a made-up code", s.browser, change("code", "made-up"))
	refused("no code", s.browser, change("code", ""))
	refused("another issuer", s.browser, change("iss", "https://evil.example.com"))
	refused("the issuer's no", s.browser, change("error", "access_denied"))
	refused("the issuer's odd no", s.browser, change("error", "<script>"))
	refused("nothing", s.browser, "/oauth2/callback")
	if resp := s.step(s.browser, back); resp.StatusCode != 303 || resp.Header.Get("Location") != "/page" {
		t.Errorf("the way back: %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	refused("the same again", s.browser, back)
	// A login that took too long begins again.
	third := s.newBrowser()
	back = begin(third)
	w.pass(11 * time.Minute)
	if resp := s.step(third, back); resp.StatusCode != 303 || resp.Header.Get("Location") != "/page" {
		t.Errorf("too late: %d", resp.StatusCode)
	}
	if log := w.log.String(); strings.Contains(log, "s3cret") || strings.Contains(log, "planted") {
		t.Errorf("the log shows %s", log)
	}
}

// ID tokens that are not good for this login are refused.
func TestIDTokenIsVerified(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	s := newSite(t, w, w.compile(p.spec()))
	for what, change := range map[string]func(map[string]any){
		"another nonce":    func(c map[string]any) { c["nonce"] = "x" },
		"no nonce":         func(c map[string]any) { delete(c, "nonce") },
		"another audience": func(c map[string]any) { c["aud"] = "other" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://evil.example.com" },
		"expired":          func(c map[string]any) { c["exp"] = p.w.clock().Unix() - 10 },
		"another party":    func(c map[string]any) { c["azp"] = "other" },
		"two audiences":    func(c map[string]any) { c["aud"] = []string{"shop", "other"} },
		"another at_hash":  func(c map[string]any) { c["at_hash"] = "AAAA" },
		"no subject":       func(c map[string]any) { delete(c, "sub") },
	} {
		p.set(func() { p.claims = change })
		s.browser = s.newBrowser()
		if status, body := s.visit("/"); status != 401 || strings.Contains(body, "ada") {
			t.Errorf("%s: got %d %s", what, status, body)
		}
	}
	p.set(func() { p.claims = nil })
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	good := p.key
	p.set(func() { p.key = key })
	s.browser = s.newBrowser()
	s.visit("/") // the keys are fetched here
	p.set(func() { p.key = good })
	status, body := s.visit("/")
	expectPage(t, status, body, 200, "ada")
}

func TestSessionRefresh(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	s := newSite(t, w, w.compile(p.spec()))
	status, body := s.visit("/")
	expectPage(t, status, body, 200, "ada")
	old := s.browser.Jar.Cookies(mustURL(s.URL))
	w.pass(4*time.Minute + 10*time.Second) // near the end of the tokens
	// All who come with the old cookie, now and a little later, share one renewal
	// (the issuer takes a refresh token once).
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			c := s.newBrowser()
			c.Jar.SetCookies(mustURL(s.URL), old)
			if resp := s.step(c, "/api", "Accept: */*"); resp.StatusCode != 200 || len(resp.Cookies()) == 0 {
				t.Errorf("got %d with %d cookies", resp.StatusCode, len(resp.Cookies()))
			}
		})
	}
	all.Wait()
	status, body = s.visit("/")
	expectPage(t, status, body, 200, "ada")
	if p.renewals != 1 {
		t.Errorf("%d renewals", p.renewals)
	}
	// While the issuer is away, the session goes on as long as its tokens do.
	w.pass(4*time.Minute + 10*time.Second)
	p.set(func() { p.down = true })
	status, body = s.visit("/")
	expectPage(t, status, body, 200, "ada")
	w.pass(10 * time.Minute)
	status, _ = s.visit("/api", "Accept: */*")
	if status != 503 {
		t.Errorf("tokens that have expired, and nobody to ask: %d", status)
	}
	p.set(func() { p.down = false })
	w.pass(10 * time.Second)
	status, body = s.visit("/")
	expectPage(t, status, body, 200, "ada")
	// Another person's tokens end the session, and so does the issuer's no.
	p.set(func() { p.claims = func(c map[string]any) { c["sub"] = "eve" } })
	w.pass(20 * time.Minute)
	if status, body := s.visit("/api", "Accept: */*"); status != 401 || strings.Contains(body, "eve") {
		t.Errorf("another subject: %d %s", status, body)
	}
	p.set(func() { p.claims = nil })
	s.browser = s.newBrowser()
	s.visit("/")
	p.set(func() { p.refused = true })
	w.pass(10 * time.Minute)
	if status, _ := s.visit("/api", "Accept: */*"); status != 401 {
		t.Errorf("the issuer's no: %d", status)
	}
	p.set(func() { p.refused = false })
	// A session ends, however often it was renewed.
	s.browser = s.newBrowser()
	s.visit("/")
	for range 15 {
		w.pass(4*time.Minute + 30*time.Second)
		status, _ = s.visit("/api", "Accept: */*")
	}
	if status != 401 {
		t.Errorf("after more than an hour: %d", status)
	}
}

// Without the issuer there is no login, but sessions go on; a restart with the
// same key, or one that is being replaced, forgets none.
func TestIssuerAwayAndNewKeys(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	p.set(func() { p.down = true })
	s := newSite(t, w, w.compile(p.spec()))
	if resp := s.step(s.browser, "/"); resp.StatusCode != 503 {
		t.Errorf("without the issuer: %d", resp.StatusCode)
	}
	p.set(func() { p.down = false })
	time.Sleep(discoverPause + 100*time.Millisecond)
	status, body := s.visit("/")
	expectPage(t, status, body, 200, "ada")
	p.set(func() { p.down = true })

	next := newWorld(t) // another process
	spec := p.spec()
	spec.Session.Keys = append([]config.Secret{config.NewSecret("a new key, a new key, a new key!")}, spec.Session.Keys...)
	s.source = next.compile(spec)
	status, body = s.visit("/")
	expectPage(t, status, body, 200, "ada")

	last := newWorld(t)
	spec.Session.Keys = spec.Session.Keys[:1]
	s.source = last.compile(spec)
	if status, _ = s.visit("/api", "Accept: */*"); status != 401 {
		t.Errorf("a session under a key that is gone: %d", status)
	}
	spec.Session.Keys = nil
	last.compile(spec)
	if !strings.Contains(last.log.String(), "no session.key") {
		t.Error("no warning that sessions end with the process")
	}
}

// Keys that travel in the clear, or stand where nobody knows, are no keys; those
// that are fetched are counted.
func TestIssuerKeys(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	for _, at := range []string{"http://192.0.2.1/keys", "file:///etc/passwd", "https://user:planted@127.0.0.1/keys"} {
		p.set(func() { p.keysAt = at })
		other := newWorld(t)
		if resp := newSite(t, other, other.compile(p.spec())).step(http.DefaultClient, "/"); resp.StatusCode != 503 {
			t.Errorf("keys at %s: %d", at, resp.StatusCode)
		}
	}
	p.set(func() { p.keysAt = "" })
	source := w.compile(p.spec())
	s := newSite(t, w, source)
	if k, ok := source.(KeyWatcher).KeyStats(); !ok || k.Fetched+k.Failed != 0 || !k.At.IsZero() {
		t.Errorf("before a login: %+v", k)
	}
	status, body := s.visit("/")
	expectPage(t, status, body, 200, "ada")
	if k, _ := source.(KeyWatcher).KeyStats(); k.Fetched != 1 || k.Failed != 0 || k.At.IsZero() {
		t.Errorf("after a login: %+v", k)
	}
}

// Sessions that are too large for one cookie are in several; parts that are no
// longer needed are taken back.
func TestLargeSessions(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	s := newSite(t, w, w.compile(p.spec()))
	size := 6000
	p.set(func() {
		p.claims = func(c map[string]any) { c["pad"] = strings.Repeat("p", size) }
	})
	status, body := s.visit("/")
	expectPage(t, status, body, 200, "ada")
	if !strings.Contains(body, `cookie=""`) {
		t.Errorf("the service gets %.200s", body)
	}
	parts := func() int { return len(s.browser.Jar.Cookies(mustURL(s.URL))) }
	if parts() < 3 {
		t.Errorf("%d cookies", parts())
	}
	size = 1
	w.pass(5 * time.Minute)
	status, body = s.visit("/")
	expectPage(t, status, body, 200, "ada")
	if parts() != 1 {
		t.Errorf("%d cookies are left", parts())
	}
	size = 100_000
	s.browser = s.newBrowser()
	if status, _ := s.visit("/"); status != 500 {
		t.Errorf("a session that fits nowhere: %d", status)
	}
}

func TestSafeReturn(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a?b=c#d": true, "/a//b": true, "/a/../b": true,
		"": false, "//evil.com": false, "/\\evil.com": false, "\\/evil.com": false, "https://evil.com": false, "evil.com": false, "/a\\b": false,
		"/a b": false, "/a\r\nSet-Cookie: x": false, "/\tevil.com": false, "/\x00": false, "/ä": false, "/" + strings.Repeat("a", 3000): false,
	} {
		if safeReturn(path) != want {
			t.Errorf("%q: want %v", path, want)
		}
	}
	x := request("GET", "//evil.com/a?b")
	if got := returnPath(x); got != "/" {
		t.Errorf("a request for //evil.com leads back to %s", got)
	}
}

func TestSealedIsForOnePurpose(t *testing.T) {
	a, _ := newSealer([]string{"secret one"}, "info")
	b, _ := newSealer([]string{"secret one"}, "other client")
	text := a.seal("login", []byte("hello"))
	if got, err := a.open("login", text); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if a.seal("login", []byte("hello")) == text {
		t.Error("two seals are equal")
	}
	for what, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return a.open("session", text) },
		"another client":  func() ([]byte, error) { return b.open("login", text) },
		"a byte less":     func() ([]byte, error) { return a.open("login", text[:len(text)-1]) },
		"another byte":    func() ([]byte, error) { return a.open("login", "A"+text[1:]) },
		"nothing":         func() ([]byte, error) { return a.open("login", "") },
		"no base64":       func() ([]byte, error) { return a.open("login", "!") },
	} {
		if got, err := open(); err == nil && text[0] != 'A' {
			t.Errorf("%s opens: %q", what, got)
		}
	}
}

func TestOIDCSettings(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w)
	for want, change := range map[string]func(*OIDC){
		"issuer":              func(s *OIDC) { s.Issuer = "idp.example.com" },
		"callback":            func(s *OIDC) { s.Callback = "//x" },
		"same path":           func(s *OIDC) { s.Logout = s.Callback },
		"after_logout":        func(s *OIDC) { s.AfterLogout = "//evil.com" },
		"origin":              func(s *OIDC) { s.Origin = "https://shop.example.com/x" },
		"openid":              func(s *OIDC) { s.Scopes = []string{"email"} },
		"sets this parameter": func(s *OIDC) { s.Params = []config.Pair{{Name: "state", Value: "x"}} },
		"at least 32 bytes":   func(s *OIDC) { s.Session.Keys = []config.Secret{config.NewSecret("short-s3cret")} },
		"can't be insecure":   func(s *OIDC) { s.Session.Cookie = "__Host-x" },
		"not the name":        func(s *OIDC) { s.Session.Cookie = "a b" },
	} {
		spec := p.spec()
		change(spec)
		if err := w.refuses(spec, want); err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// Cookies that nobody sealed are no session, whatever they say.
func FuzzSessionCookie(f *testing.F) {
	w := newWorld(f)
	spec := &OIDC{
		Issuer: "https://idp.example.com", ClientID: "shop", Scopes: []string{"openid"}, Callback: "/cb", Logout: "/lo", AfterLogout: "/", Timeout: time.Second,
		Session: OIDCSession{MaxAge: time.Hour, Cookie: "s", Keys: []config.Secret{config.NewSecret("0123456789abcdef0123456789abcdef")}},
	}
	source, err := spec.Compile(w.env)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("s=1.AAAA", "s.1=BBBB")
	f.Add("s=4.AAAA; s.3=x; s.2=y", "s-login=z")
	f.Add("s=9.; s.9=", "s=")
	f.Fuzz(func(t *testing.T, one, two string) {
		if !exchange.ValidValue(one) || !exchange.ValidValue(two) {
			return
		}
		x := request("GET", "/", "Cookie: "+one, "Cookie: "+two)
		if id, err := source.Identify(x); err == nil {
			t.Errorf("%v is in", id)
		}
	})
}

func FuzzCallback(f *testing.F) {
	w := newWorld(f)
	spec := &OIDC{
		Issuer: "https://idp.example.com", ClientID: "shop", Scopes: []string{"openid"}, Callback: "/cb", Logout: "/lo", AfterLogout: "/", Timeout: time.Second,
		Session: OIDCSession{MaxAge: time.Hour, Cookie: "s", Keys: []config.Secret{config.NewSecret("0123456789abcdef0123456789abcdef")}},
	}
	source, err := spec.Compile(w.env)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("state=AAAA&code=x", strings.Repeat("A", 43))
	f.Add("error=x&state=", "")
	f.Fuzz(func(t *testing.T, query, binding string) {
		if !exchange.ValidValue(binding) {
			return
		}
		x := request("GET", "/cb?"+query, "Cookie: s-login="+binding)
		if _, err := source.Identify(x); !exchange.IdentityInvalid.Is(err) || x.Response.Header.Len() != 0 {
			t.Errorf("%q: %v %s", query, err, fieldsOf(&x.Response.Header))
		}
	})
}
