package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// whoCalls is a service that answers with what it was told about the client.
func whoCalls(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s over %s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const version2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\x9c\x40\x01\xbb" // 203.0.113.7

// A balancer says whom a connection is from; nobody else is asked.
func TestProxyProtocol(t *testing.T) {
	g := start(t, fmt.Sprintf(`
listen:
  plain: {address: "127.0.0.1:0", proxy_protocol: 127.0.0.1}
  secure: {address: "127.0.0.1:0", proxy_protocol: 127.0.0.0/30, tls: self_signed}
  others: {address: "127.0.0.1:0", proxy_protocol: 10.0.0.0/8}
timeouts: {head: 300ms}
trusted_proxies: 203.0.113.9
access_log: off
services: {o: "%s"}
routes: [{match: /*, to: o}]
`, whoCalls(t)))
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
	for _, c := range []struct{ name, listener, header, want string }{
		{"version 1", "plain", "PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n", "203.0.113.7 over http"},
		{"version 2", "plain", version2, "203.0.113.7 over http"},
		{"IPv6", "plain", "PROXY TCP6 2001:db8::7 ::1 40000 443\r\n", "2001:db8::7 over http"},
		{"before TLS", "secure", version2, "203.0.113.7 over https"},
		{"trusted_proxies is asked about whom the header names", "plain", "PROXY TCP4 203.0.113.9 10.0.0.1 40000 443\r\n", "198.51.100.1, 203.0.113.9 over http"},
		{"the balancer itself", "plain", "PROXY UNKNOWN\r\n", "127.0.0.1 over http"},
		{"no header", "plain", "", "closed"},
		{"no header before TLS", "secure", "", "closed"},
		{"a header that can't be read", "plain", "PROXY TCP4 here there 1 2\r\n", "closed"},
		{"half a header", "plain", "PROXY TCP4 203.0.113.7 ", "closed"},
		{"somebody else needs none", "others", "", "127.0.0.1 over http"},
		{"somebody else's is a bad request", "others", "PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", g.Address(c.listener))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(nc, c.header)
			var conn net.Conn = nc
			if c.listener == "secure" {
				conn = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
			}
			if !strings.HasPrefix(c.name, "half") {
				io.WriteString(conn, request)
			}
			got := "closed"
			if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				body, _ := io.ReadAll(r.Body)
				if got = string(body); r.StatusCode != 200 {
					got = fmt.Sprint(r.StatusCode)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The header comes from a real HAProxy, in both versions, over a kept connection.
func TestBehindHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("no haproxy")
	}
	g := start(t, fmt.Sprintf(`
listen: {edge: {address: "127.0.0.1:0", proxy_protocol: 127.0.0.1}}
access_log: off
services: {o: "%s"}
routes: [{match: /*, to: o}]
`, whoCalls(t)))
	front := []string{freeport.Address(t), freeport.Address(t)}
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
	for i, how := range []string{"send-proxy", "send-proxy-v2"} {
		text += fmt.Sprintf("listen l%d\n  bind %s\n  server g %s %s source 127.0.0.1\n", i, front[i], g.Address("edge"), how)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(haproxy, "-db", "-f", conf)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	for _, address := range front {
		// The client is 127.0.0.5 to HAProxy, and has to be that to the service.
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}}).DialContext}}
		defer client.CloseIdleConnections()
		for range 2 {
			var body []byte
			for try := 0; ; try++ {
				r, err := client.Get("http://" + address)
				if err == nil {
					body, _ = io.ReadAll(r.Body)
					r.Body.Close()
					break
				}
				if try == 100 {
					cmd.Process.Kill()
					cmd.Wait()
					t.Fatalf("%v\n%s", err, said.String())
				}
				time.Sleep(50 * time.Millisecond)
			}
			if string(body) != "127.0.0.5 over http" {
				t.Errorf("%s: %s", address, body)
			}
		}
	}
}
