package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gopura/exchange"
)

var start = time.Date(2026, 11, 24, 5, 6, 7, 89_999_999, time.UTC)

// sample is an ordinary exchange.
func sample() *exchange.Exchange {
	x := &exchange.Exchange{
		ID:       []byte("0192f0c1a2b3c4d5"),
		Client:   &exchange.Client{Addr: netip.MustParseAddrPort("192.0.2.7:40001"), Protocol: "HTTP/1.1"},
		Route:    "GET /users/{id}",
		Service:  "users",
		Target:   "10.0.0.1:8080",
		Attempts: 1,
		Start:    start,
		Upstream: 1200 * time.Microsecond,
		Received: 17,
		Sent:     1024,
	}
	x.Request = exchange.Request{
		Method: "GET", Host: []byte("api.example.com"), Target: []byte("/users/42?view=full"), Body: exchange.NoBody,
	}
	x.Request.Header.Add("Accept", "*/*")
	x.Request.Header.Add("User-Agent", "curl/8.5.0")
	x.Response.Status = 200
	return x
}

func jsonLine(x *exchange.Exchange, end time.Time) string {
	var r record
	r.json(x, end)
	return string(r.line)
}

func textLine(x *exchange.Exchange, end time.Time) string {
	var r record
	r.text(x, end)
	return string(r.line)
}

func TestRecord(t *testing.T) {
	failed := func(x *exchange.Exchange) {
		x.Request.Header.Add("Referer", "https://u:p@shop.example.com/?code=abc")
		x.Identity = &exchange.Identity{Name: "idp", Sub: "alice smith"}
		x.Response.Status = 504
		x.Err = exchange.ConnectTimeout.Because(errors.New("dial tcp 10.0.0.1:8080:\ni/o timeout"))
		x.Attempts, x.Upstream, x.Sent = 2, 0, 210
	}
	for _, c := range []struct {
		name       string
		edit       func(*exchange.Exchange)
		json, text string
	}{
		{
			"an ordinary answer", func(*exchange.Exchange) {},
			`{"time":"2026-11-24T05:06:07.089Z","id":"0192f0c1a2b3c4d5","client":"192.0.2.7","method":"GET","host":"api.example.com","path":"/users/42?view=full","protocol":"HTTP/1.1","status":200,"code":"","side":"","route":"GET /users/{id}","service":"users","target":"10.0.0.1:8080","attempts":1,"duration_ms":1.534,"upstream_ms":1.200,"received":17,"sent":1024,"user_agent":"curl/8.5.0","referer":""}`,
			`192.0.2.7 - - [24/Nov/2026:05:06:07 +0000] "GET /users/42?view=full HTTP/1.1" 200 1024 "-" "curl/8.5.0" id=0192f0c1a2b3c4d5 host=api.example.com code=- side=- route="GET /users/{id}" service=users target=10.0.0.1:8080 attempts=1 duration_ms=1.534 upstream_ms=1.200 received=17`,
		},
		{
			"a failure of an identified client", failed,
			`{"time":"2026-11-24T05:06:07.089Z","id":"0192f0c1a2b3c4d5","client":"192.0.2.7","method":"GET","host":"api.example.com","path":"/users/42?view=full","protocol":"HTTP/1.1","status":504,"code":"upstream_connect_timeout","side":"upstream","route":"GET /users/{id}","service":"users","target":"10.0.0.1:8080","attempts":2,"duration_ms":1.534,"upstream_ms":0.000,"received":17,"sent":210,"user_agent":"curl/8.5.0","referer":"https://***@shop.example.com/?code=***","identity":"idp","sub":"alice smith","cause":"dial tcp 10.0.0.1:8080:\ni/o timeout"}`,
			`192.0.2.7 - "alice smith" [24/Nov/2026:05:06:07 +0000] "GET /users/42?view=full HTTP/1.1" 504 210 "https://***@shop.example.com/?code=***" "curl/8.5.0" id=0192f0c1a2b3c4d5 host=api.example.com code=upstream_connect_timeout side=upstream route="GET /users/{id}" service=users target=10.0.0.1:8080 attempts=2 duration_ms=1.534 upstream_ms=0.000 received=17 identity=idp cause="dial tcp 10.0.0.1:8080:\ni/o timeout"`,
		},
		{
			"a refused request of which little is known", func(x *exchange.Exchange) {
				*x = exchange.Exchange{Client: &exchange.Client{}, Err: exchange.BadHost.Because(nil)}
				x.Request.Authority = []byte("u:p@x")
			},
			`{"time":"2026-11-24T05:06:07.091Z","id":"","client":"","method":"","host":"***@x","path":"","protocol":"","status":400,"code":"bad_host","side":"client","route":"","service":"","target":"","attempts":0,"duration_ms":0.000,"upstream_ms":0.000,"received":0,"sent":0,"user_agent":"","referer":""}`,
			`- - - [24/Nov/2026:05:06:07 +0000] "  " 400 0 "-" "-" id=- host=***@x code=bad_host side=client route=- service=- target=- attempts=0 duration_ms=0.000 upstream_ms=0.000 received=0`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := sample()
			c.edit(x)
			end := start.Add(1534567 * time.Nanosecond)
			if got := jsonLine(x, end); got != c.json+"\n" {
				t.Errorf("json\n got %swant %s", got, c.json)
			}
			if got := textLine(x, end); got != c.text+"\n" {
				t.Errorf("text\n got %swant %s", got, c.text)
			}
		})
	}
}

// The zone of an address may be a word from a forwarded header.
func TestClientAddressHasNoZone(t *testing.T) {
	x := sample()
	x.Client.Addr = netip.AddrPortFrom(netip.MustParseAddr("fe80::1%\"}\nadmin"), 1)
	if got := textLine(x, start); !strings.HasPrefix(got, "fe80::1 - ") {
		t.Error(got)
	}
	x.Client.Addr = netip.MustParseAddrPort("[::ffff:192.0.2.1]:1")
	if got := textLine(x, start); !strings.HasPrefix(got, "192.0.2.1 - ") {
		t.Error(got)
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, json, text string }{
		{`plain /~ text`, `plain /~ text`, `plain /~ text`},
		{`"a\b"`, `\"a\\b\"`, `\"a\\b\"`},
		{"a\r\nb\tc", `a\r\nb\tc`, `a\r\nb\tc`},
		{"\x00\x1b[2J\x7f", `\u0000\u001b[2J\u007f`, `\x00\x1b[2J\x7f`},
		{"żółć 日本 🙂", "żółć 日本 🙂", "żółć 日本 🙂"},
		{"a\xffb\xc3", `a\ufffdb\ufffd`, `a\xffb\xc3`},
		{"\xed\xa0\x80", `\ufffd\ufffd\ufffd`, `\xed\xa0\x80`},                               // a surrogate
		{"\u0085\u009b\u2028\u202e", `\u0085\u009b\u2028\u202e`, `\u0085\u009b\u2028\u202e`}, // line ends, CSI, right-to-left
		{"\U000e0001\ufffd", `\udb40\udc01` + "\ufffd", `\udb40\udc01` + "\ufffd"},           // an invisible tag; an honest U+FFFD
	} {
		if got := string(appendEscaped(nil, c.in, 1000)); got != c.json {
			t.Errorf("json of %q: got %s, want %s", c.in, got, c.json)
		}
		if got := string(appendEscapedText(nil, []byte(c.in), 1000)); got != c.text {
			t.Errorf("text of %q: got %s, want %s", c.in, got, c.text)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcd", 4, "abcd"},
		{"abcde", 4, "abcd…"},
		{"abcżd", 4, "abc…"}, // no half rune
		{"abżżż", 4, "abż…"},
		{"a\x80\x80\x80\x80\x80", 5, `a\ufffd\ufffd\ufffd\ufffd…`},
	} {
		if got := string(appendEscaped(nil, c.in, c.limit)); got != c.want {
			t.Errorf("%q cut at %d: got %s, want %s", c.in, c.limit, got, c.want)
		}
	}
}

// Whatever the exchange, a line fits into a batch.
func TestLongestLine(t *testing.T) {
	bad := strings.Repeat("\x00", 100_000)
	x := sample()
	x.ID, x.Route, x.Service, x.Target = []byte(bad), bad, bad, bad
	x.Request.Method, x.Request.Host, x.Request.Target = bad, []byte(bad), []byte(bad)
	x.Client.Protocol = bad
	x.Request.Header.Set("User-Agent", bad)
	x.Request.Header.Set("Referer", bad)
	x.Identity = &exchange.Identity{Name: bad, Sub: bad}
	x.Err = &exchange.Error{Code: bad, Err: errors.New(bad)}
	for _, line := range []string{jsonLine(x, start), textLine(x, start)} {
		if len(line) > batchSize {
			t.Errorf("%d bytes", len(line))
		}
	}
}

func TestTimeAndMillis(t *testing.T) {
	at := time.Date(2026, 1, 2, 5, 4, 5, 6_999_999, time.FixedZone("", 2*3600))
	if got := string(appendTime(nil, at)); got != "2026-01-02T03:04:05.006Z" {
		t.Error(got)
	}
	for d, want := range map[time.Duration]string{
		0: "0.000", -time.Second: "0.000", 999: "0.000", time.Microsecond: "0.001",
		12345678 * time.Microsecond: "12345.678", time.Hour: "3600000.000",
	} {
		if got := string(appendMillis(nil, d)); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var r record
	x := sample()
	x.Request.Target = []byte("/users/42?access_token=abc&x=ż\x01")
	x.Request.Header.Add("Referer", "https://example.com/")
	for name, encode := range map[string]func(){
		"json": func() { r.line = r.line[:0]; r.json(x, start) },
		"text": func() { r.line = r.line[:0]; r.text(x, start) },
	} {
		if n := testing.AllocsPerRun(100, encode); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzRecord: one line, valid JSON, nothing that a terminal obeys, whatever the bytes.
func FuzzRecord(f *testing.F) {
	f.Add("GET", "/a?token=b", "example.com", "curl", "users")
	f.Add("G\"T", "/\r\n{\"status\":200}", "\xff\xfe", "\x1b[31m\u0085\u2028", "\u202e\U000e0001")
	f.Add("", "http://u:p@h/?%74oken=%", strings.Repeat("é", 200), strings.Repeat("\\", 600), "日本")
	f.Fuzz(func(t *testing.T, method, target, host, agent, route string) {
		x := sample()
		x.Request.Method, x.Request.Target, x.Request.Host = method, []byte(target), []byte(host)
		x.Request.Header.SetBytes("User-Agent", []byte(agent))
		x.Request.Header.SetBytes("Referer", []byte(target))
		x.Route, x.ID, x.Service, x.Target = route, []byte(host), agent, target
		x.Identity = &exchange.Identity{Name: route, Sub: agent}
		x.Err = &exchange.Error{Code: method, Err: errors.New(agent)}
		line := []byte(jsonLine(x, start))
		checkLine(t, line)
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if utf8.ValidString(route) && len(route) <= maxName && v["route"] != route {
			t.Fatalf("route %q became %q", route, v["route"])
		}
		checkLine(t, []byte(textLine(x, start)))
	})
}

func checkLine(t *testing.T, line []byte) {
	t.Helper()
	body, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || !utf8.Valid(body) {
		t.Fatalf("%q", line)
	}
	for _, r := range string(body) {
		if r < 0x20 || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			t.Fatalf("%q has %q", line, r)
		}
	}
}

func BenchmarkRecordJSON(b *testing.B) { benchmarkEncode(b, (*record).json) }
func BenchmarkRecordText(b *testing.B) { benchmarkEncode(b, (*record).text) }

func benchmarkEncode(b *testing.B, encode func(*record, *exchange.Exchange, time.Time)) {
	var r record
	x := sample()
	x.Request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	x.Request.Header.Set("Referer", "https://shop.example.com/cart")
	end := start.Add(1534567)
	b.ReportAllocs()
	for b.Loop() {
		r.line = r.line[:0]
		encode(&r, x, end)
	}
	b.ReportMetric(float64(len(r.line)), "B/line")
}
