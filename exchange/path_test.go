package exchange

import "testing"

func TestDottedPath(t *testing.T) {
	for path, want := range map[string]bool{"/a/b": false, "/a/..": true, "/./b": true, "/a/%2e%2E/b": true, "/a/.%2e": true,
		"/a/...": false, "/a/..b": false, "/.well-known": false, "": false, "/": false,
		"/a/..%2Fb": true, "/a/b%2f..": true, "/a/x%5C%2e%2E%5cy": true, "/a%2Fb": false, "/a/..%2": false, "/a/...%2F": false, "/a%2F..b": false,
	} {
		if DottedPath([]byte(path)) != want {
			t.Errorf("%q", path)
		}
	}
}
