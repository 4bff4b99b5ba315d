package telemetry

import "strings"

const maskMark = "***"

// secretNames are the query parameters whose values are never recorded,
// compared after normalise.
var secretNames = []string{
	"key", "code", "sig", "auth", "pass", "pin", "otp", "sid", "session", "sessionid", "jsessionid", "phpsessid",
	"assertion", "samlresponse", "awsaccesskeyid",
}

// secretEndings are the ends of such names: access_token, clientSecret, X-Amz-Signature.
var secretEndings = []string{
	"token", "password", "passwd", "passphrase", "pwd", "secret", "signature", "apikey", "accesskey", "secretkey", "privatekey",
	"authkey", "subscriptionkey", "credential", "credentials", "authorization", "jwt",
}

// secretWords are both, by their last letter.
var secretWords = func() (t [26][]secretWord) {
	add := func(text string, whole bool) {
		last := text[len(text)-1] - 'a'
		t[last] = append(t[last], secretWord{text, whole})
	}
	for _, w := range secretNames {
		add(w, true)
	}
	for _, w := range secretEndings {
		add(w, false)
	}
	return t
}()

type secretWord struct {
	text  string
	whole bool // it has to be the whole name
}

// What bytes mean in a target.
const (
	begins  = 1 << iota // a parameter's name may begin after it
	equals              // ends a name, before its value
	slash               // ends a name in the path
	percent             // begins an escape, which counts in the query
)

var meaning = [256]uint8{'?': begins, '&': begins, ';': begins, '#': begins, '=': equals, '/': slash, '%': percent}

// appendMasked appends a request target or URL with its credentials masked:
// userinfo, and the values of parameters with a sensitive name, wherever a
// reader might see a parameter: in the query, in a URL inside of the query
// (?next=%2Fcb%3Fcode%3Dx), in a path segment (;jsessionid=x), in a fragment.
func appendMasked(dst, t []byte) []byte {
	dst, i := maskUserinfo(dst, t)
	copied, query := i, false
	for i < len(t) {
		stop, inName := uint8(begins), uint8(begins|equals|slash)
		if query {
			stop, inName = begins|percent, begins|equals|percent
		}
		if i = skip(t, i, stop); i == len(t) {
			break
		}
		c, w := unit(t, i, query)
		if i += w; meaning[c] != begins {
			continue
		}
		if !query && (c == '?' || c == '#') {
			query, inName = true, begins|equals|percent
		}
		name := i
		for i < len(t) {
			if i = skip(t, i, inName); i == len(t) {
				break
			}
			if c, w = unit(t, i, query); meaning[c]&inName&^percent != 0 {
				break
			}
			i += w
		}
		if i == len(t) || c != '=' {
			continue // a byte that begins a name is looked at again
		}
		if value := i + w; secret(t[name:i]) {
			dst = append(dst, t[copied:value]...)
			dst = append(dst, maskMark...)
			i = valueEnd(t, value, query)
			copied = i
		} else {
			i = value
		}
	}
	return append(dst, t[copied:]...)
}

// skip returns the next i whose byte means one of stop.
func skip(t []byte, i int, stop uint8) int {
	for i < len(t) && meaning[t[i]]&stop == 0 {
		i++
	}
	return i
}

// maskUserinfo handles what comes before the path: of http://user:pw@host/ the
// part up to the "@" is masked (RFC 3986 §3.2.1). It returns how much of t is done.
func maskUserinfo(dst, t []byte) ([]byte, int) {
	if len(t) == 0 || t[0] == '/' {
		return dst, 0
	}
	start, at := 0, -1
scan:
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '@':
			at = i
		case '?', '#':
			break scan
		case '/':
			if start > 0 || at >= 0 || i == 0 || t[i-1] != ':' || i+1 == len(t) || t[i+1] != '/' {
				break scan
			}
			i++
			start = i + 1
		}
	}
	if at < 0 {
		return dst, 0
	}
	dst = append(dst, t[:start]...)
	return append(dst, maskMark...), at
}

// unit returns the byte at i and its width. In the query, an escape counts as
// what it stands for.
func unit(t []byte, i int, query bool) (c byte, width int) {
	if c = t[i]; c == '%' && query {
		if d, ok := unescape(t[i:]); ok {
			return d, 3
		}
	}
	return c, 1
}

// valueEnd returns where a value that starts at i ends. Only a plain "&" ends
// it: a reader that splits at less would see a longer secret.
func valueEnd(t []byte, i int, query bool) int {
	for ; i < len(t); i++ {
		if c := t[i]; query && c == '&' || !query && (c == '/' || c == '?') {
			break
		}
	}
	return i
}

// secret reports whether the parameter's value must not be recorded.
func secret(name []byte) bool {
	var letters [64]byte
	n, all := normalise(&letters, name)
	if n == 0 {
		return false
	}
	s := letters[:n]
	for _, w := range secretWords[s[n-1]-'a'] {
		if from := n - len(w.text); from >= 0 && string(s[from:]) == w.text && (!w.whole || from == 0 && all) {
			return true
		}
	}
	return false
}

// normalise leaves the letters of a name, unescaped and in lower case, so that
// api-key, API_KEY, api%5Fkey and api[key] are one. Of a very long name the
// last letters stay, and all is false.
func normalise(letters *[64]byte, name []byte) (n int, all bool) {
	all = true
	for i := 0; i < len(name); {
		c, w := unit(name, i, true)
		i += w
		if c |= 0x20; c < 'a' || c > 'z' {
			continue
		}
		if n == len(letters) {
			n = copy(letters[:], letters[len(letters)/2:])
			all = false
		}
		letters[n] = c
		n++
	}
	return n, all
}

// unescape returns the byte that a percent escape at the start of b stands for.
func unescape(b []byte) (byte, bool) {
	if len(b) < 3 {
		return 0, false
	}
	hi, lo := strings.IndexByte(hexDigits, lower(b[1])), strings.IndexByte(hexDigits, lower(b[2]))
	return byte(hi<<4 | lo&15), hi >= 0 && lo >= 0
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
