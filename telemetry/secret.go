package telemetry

// Secret reports whether a value of that name (a query parameter, a header
// field, a cookie, a claim) must not be shown: access_token, X-Api-Key, Cookie.
func Secret(name string) bool {
	if secret([]byte(name)) {
		return true
	}
	var letters [64]byte
	n, _ := normalise(&letters, []byte(name))
	switch string(letters[:n]) {
	case "cookie", "setcookie":
		return true
	}
	return false
}

// Masked returns a request target or URL with the credentials in it masked.
func Masked(target []byte) string { return string(appendMasked(nil, target)) }
