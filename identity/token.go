package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a token. Nobody has shown yet that it comes from somebody known, so
// reading it must cost little.
const (
	maxToken  = 16 << 10 // bytes
	maxHeader = 4 << 10  // bytes of its encoded header
	maxClaims = 256      // members of its payload
	maxValues = 4096     // all values in it
	maxNested = 16       // levels of nesting
	maxKeyID  = 256      // bytes of a kid
)

// token is a JWS in compact form (RFC 7515 §7.1), taken apart and not verified.
type token struct {
	signed    string // header.payload, what the signature covers
	signature []byte
	alg, kid  string
	typ       string // lower case, without "application/"
	claims    map[string]any
}

var (
	errNotCompact = errors.New("not a signed token of three parts")
	errEncrypted  = errors.New("an encrypted token (JWE): only signed ones are read")
	errTooLong    = fmt.Errorf("the token is longer than %d bytes", maxToken)
	errBase64     = errors.New("not base64url")
	errAlg        = errors.New("the header names no algorithm")
	errCrit       = errors.New("the header has critical extensions")
)

// parseToken takes a token apart, strictly: what two readers could understand
// in two ways is refused.
func parseToken(text string) (*token, error) {
	if len(text) > maxToken {
		return nil, errTooLong
	}
	first := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	if first < 0 || first == last || strings.IndexByte(text[first+1:last], '.') >= 0 || first > maxHeader {
		if strings.Count(text, ".") == 4 { // RFC 7516 §9
			return nil, errEncrypted
		}
		return nil, errNotCompact
	}
	t := &token{signed: text[:last]}
	header, err := decodePart(text[:first], 64)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := t.header(header); err != nil {
		return nil, err
	}
	if t.signature, err = decodeBase64(text[last+1:]); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if t.claims, err = decodePart(text[first+1:last], maxClaims); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return t, nil
}

// header takes what counts of the header. Whatever names or brings a key (jku,
// jwk, x5u, x5c, x5t) is ignored: the keys are the configuration's.
func (t *token) header(h map[string]any) error {
	var ok bool
	if t.alg, ok = h["alg"].(string); !ok || t.alg == "" {
		return errAlg
	}
	if _, has := h["crit"]; has { // RFC 7515 §4.1.11: we know none
		return errCrit
	}
	if b64, has := h["b64"]; has && b64 != true { // RFC 7797
		return errCrit
	}
	if kid, has := h["kid"]; has {
		if t.kid, ok = kid.(string); !ok || len(t.kid) > maxKeyID {
			return errors.New("the key id is no text, or a long one")
		}
	}
	if typ, has := h["typ"]; has {
		if t.typ, ok = typ.(string); !ok {
			return errors.New("the type is no text")
		}
		t.typ = mediaType(t.typ)
	}
	return nil
}

// mediaType is a typ as it compares: case does not count, and neither does a
// leading application/ (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// strict refuses bits that no encoder writes.
var strict = base64.RawURLEncoding.Strict()

func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // Go's decoder skips these
		return nil, errBase64
	}
	b, err := strict.DecodeString(text)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

// decodePart decodes a part of a token: a JSON object.
func decodePart(text string, members int) (map[string]any, error) {
	data, err := decodeBase64(text)
	if err != nil {
		return nil, err
	}
	return readObject(data, members)
}

// readObject reads a JSON object of so many members. Unlike encoding/json it
// refuses a member that is there twice, and what is not UTF-8 (RFC 8259 §4, §8.1).
// Whole numbers become int64, others float64.
func readObject(data []byte, members int) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := objectReader{d: d}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	switch {
	case !ok:
		return nil, errors.New("not a JSON object")
	case len(m) > members:
		return nil, fmt.Errorf("more than %d members", members)
	}
	return m, nil
}

type objectReader struct {
	d      *json.Decoder
	values int
}

func (r *objectReader) value(depth int) (any, error) {
	if r.values++; r.values > maxValues {
		return nil, fmt.Errorf("more than %d values", maxValues)
	}
	if depth > maxNested {
		return nil, fmt.Errorf("nested deeper than %d levels", maxNested)
	}
	tok, err := r.d.Token()
	if err != nil {
		return nil, errors.New("not JSON")
	}
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '{' {
			return r.object(depth)
		}
		return r.list(depth)
	case json.Number:
		return number(tok)
	default:
		return tok, nil // string, bool, nil
	}
}

func (r *objectReader) object(depth int) (any, error) {
	m := map[string]any{}
	for r.d.More() {
		tok, err := r.d.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		name := tok.(string)
		if _, twice := m[name]; twice {
			return nil, errors.New("a member is there twice")
		}
		if m[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := r.d.Token()
	return m, err
}

func (r *objectReader) list(depth int) (any, error) {
	l := []any{}
	for r.d.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	_, err := r.d.Token()
	return l, err
}

func number(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, errors.New("a number that is out of range")
	}
	return f, nil
}
