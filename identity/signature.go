package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopura/exchange"
)

// signed is a message signature (RFC 9421) as its fields state it.
type signed struct {
	input           *sfMember
	signature       []byte
	keyID, alg      string
	nonce, tag      string
	created         int64
	expires         int64
	hasCreated      bool
	hasExpires      bool
	components      []string
	digestIsCovered bool
}

var errSignature = errors.New("a signature that is not well-formed")

// readSignatures returns the signatures of a request, None when there are none.
func readSignatures(h *exchange.Header) ([]signed, error) {
	if !h.Has("Signature") && !h.Has("Signature-Input") {
		return nil, None
	}
	inputs, err := parseDictionary(fieldValue(h, "Signature-Input"))
	if err != nil {
		return nil, errSignature
	}
	values, err := parseDictionary(fieldValue(h, "Signature"))
	if err != nil {
		return nil, errSignature
	}
	list := make([]signed, 0, len(inputs))
	for i := range inputs {
		at := slices.IndexFunc(values, func(m sfMember) bool { return m.key == inputs[i].key })
		if at < 0 {
			return nil, errSignature
		}
		value, ok := values[at].item.([]byte)
		if !ok || !inputs[i].isList {
			return nil, errSignature
		}
		s := signed{input: &inputs[i], signature: value}
		if !s.read() {
			return nil, errSignature
		}
		list = append(list, s)
	}
	return list, nil
}

// read takes the components and parameters of a signature.
func (s *signed) read() bool {
	for _, it := range s.input.list {
		name, ok := it.item.(string)
		// Parameters of a component (;sf, ;bs, ;req, …) change what is signed;
		// none of them is supported.
		if !ok || len(it.params) > 0 || slices.Contains(s.components, name) || !strings.HasPrefix(name, "@") && name != strings.ToLower(name) {
			return false
		}
		s.components = append(s.components, name)
	}
	s.digestIsCovered = s.covers("content-digest")
	for _, p := range s.input.params {
		ok := true
		switch p.key {
		case "created":
			s.created, ok = p.value.(int64)
			s.hasCreated = ok
		case "expires":
			s.expires, ok = p.value.(int64)
			s.hasExpires = ok
		case "keyid":
			s.keyID, ok = p.value.(string)
		case "alg":
			s.alg, ok = p.value.(string)
		case "nonce":
			s.nonce, ok = p.value.(string)
		case "tag":
			s.tag, ok = p.value.(string)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (s *signed) covers(component string) bool { return slices.Contains(s.components, component) }

// coversTarget reports whether nobody could have changed what the request asks
// for: method, host, path and query.
func (s *signed) coversTarget() bool {
	if !s.covers("@method") {
		return false
	}
	return s.covers("@target-uri") || s.covers("@authority") && (s.covers("@request-target") || s.covers("@path") && s.covers("@query"))
}

// base is the text that was signed (RFC 9421 §2.5).
func (s *signed) base(x *exchange.Exchange) ([]byte, error) {
	var b []byte
	for _, name := range s.components {
		b = append(appendItem(b, name), ": "...)
		var ok bool
		if b, ok = appendComponent(b, x, name); !ok {
			return nil, fmt.Errorf("a signature over %.40q, which is unknown or not in the request", name)
		}
		b = append(b, '\n')
	}
	return appendInnerList(append(b, `"@signature-params": `...), s.input), nil
}

// appendComponent appends the value of a component (RFC 9421 §2.1, §2.2).
func appendComponent(b []byte, x *exchange.Exchange, name string) ([]byte, bool) {
	r := &x.Request
	switch name {
	case "@method":
		return append(b, r.Method...), true
	case "@scheme":
		return append(b, r.Scheme...), true
	case "@authority":
		return appendAuthority(b, r), true
	case "@path":
		return append(b, r.Path...), true
	case "@query":
		return append(append(b, '?'), r.Query...), true
	case "@request-target":
		return append(b, r.Target...), true
	case "@target-uri":
		b = append(append(b, r.Scheme...), "://"...)
		b = append(appendAuthority(b, r), r.Path...)
		if r.Query != nil {
			b = append(append(b, '?'), r.Query...)
		}
		return b, true
	}
	switch has := r.Header.Has(name); {
	case has && !strings.HasPrefix(name, "@"):
	case name == "host": // these two are the wire's, and not among the fields
		return append(b, r.Authority...), true
	case name == "content-length" && r.Body.Len() >= 0:
		return strconv.AppendInt(b, r.Body.Len(), 10), true
	default:
		return b, false
	}
	return append(b, fieldValue(&r.Header, name)...), true
}

// appendAuthority appends the host in lower case, the port unless it is the
// scheme's own (RFC 9421 §2.2.3).
func appendAuthority(b []byte, r *exchange.Request) []byte {
	a := bytes.ToLower(r.Authority)
	if r.Scheme == "https" {
		a = bytes.TrimSuffix(a, []byte(":443"))
	} else {
		a = bytes.TrimSuffix(a, []byte(":80"))
	}
	return append(b, a...)
}

// fieldValue is the value of a field whose lines are put together.
func fieldValue(h *exchange.Header, name string) string {
	var b strings.Builder
	first := true
	for v := range h.Values(name) {
		if !first {
			b.WriteString(", ")
		}
		first = false
		b.Write(bytes.Trim(v, " \t"))
	}
	return b.String()
}

// signer is a key that messages are signed with.
type signer interface {
	alg() string
	verify(base, signature []byte) bool
}

type hmacSigner []byte

func (hmacSigner) alg() string { return "hmac-sha256" }
func (k hmacSigner) verify(base, signature []byte) bool {
	h := hmac.New(sha256.New, k)
	h.Write(base)
	return hmac.Equal(h.Sum(nil), signature)
}

type ed25519Signer ed25519.PublicKey

func (ed25519Signer) alg() string { return "ed25519" }
func (k ed25519Signer) verify(base, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(k), base, signature)
}

// digestMatches reports whether a Content-Digest (RFC 9530) is that of the body:
// every algorithm in it that is known must agree, and one must be known.
func digestMatches(field string, body []byte) bool {
	members, err := parseDictionary(field)
	if err != nil {
		return false
	}
	known := false
	for _, m := range members {
		said, ok := m.item.([]byte)
		if !ok {
			return false
		}
		var sum []byte
		switch m.key {
		case "sha-256":
			s := sha256.Sum256(body)
			sum = s[:]
		case "sha-512":
			s := sha512.Sum512(body)
			sum = s[:]
		default:
			continue
		}
		if subtle.ConstantTimeCompare(sum, said) != 1 {
			return false
		}
		known = true
	}
	return known
}
