package main

import (
	"strings"
	"testing"
)

func TestParseRequest(t *testing.T) {
	x, err := parseRequest([]string{"PUT", "HTTPS://User.Example.COM.:8443/a%20b?c=d?e"}, []string{"X-Plan:  gold ", "x-two: a:b"}, "203.0.113.9")
	if err != nil {
		t.Fatal(err)
	}
	r := &x.Request
	for name, got := range map[string][2]string{
		"method": {r.Method, "PUT"}, "scheme": {r.Scheme, "https"}, "host": {string(r.Host), "user.example.com"},
		"authority": {string(r.Authority), "User.Example.COM.:8443"}, "path": {string(r.Path), "/a%20b"}, "query": {string(r.Query), "c=d?e"},
		"header": {string(r.Header.Get("X-Plan")), "gold"}, "second header": {string(r.Header.Get("X-Two")), "a:b"}, "client": {x.Client.Addr.Addr().String(), "203.0.113.9"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %q, want %q", name, got[0], got[1])
		}
	}
	for url, path := range map[string]string{"http://h": "/", "http://h?q": "/", "/x": "/x", "http://[::1]:80/y": "/y", "http://[::1]/z": "/z"} {
		if x, err := parseRequest([]string{url}, nil, "::1"); err != nil || string(x.Request.Path) != path {
			t.Errorf("%s: %v", url, err)
		}
	}
	if x, _ := parseRequest([]string{"http://[::1]:80/y"}, nil, "::1"); string(x.Request.Host) != "[::1]" {
		t.Errorf("host %q", x.Request.Host)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("GET", "http://h:80/p?q", "A: b")
	f.Add("GET", "https://[::1", "Host: x:")
	f.Add("", "://", ":")
	f.Fuzz(func(t *testing.T, method, url, header string) {
		x, err := parseRequest([]string{method, url}, []string{header}, "127.0.0.1")
		if err == nil && !strings.HasPrefix(string(x.Request.Path), "/") {
			t.Errorf("path %q", x.Request.Path)
		}
	})
}
