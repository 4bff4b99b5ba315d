package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Limits of a JSON text that is read in order to be judged.
const (
	maxJSONDepth  = 64
	maxJSONValues = 100_000
	maxJSONNumber = 100 // digits and signs
	maxJSONPower  = 400 // |exponent|: a number of few bytes must not cost gigabytes
)

// readJSON reads one JSON value into nil, bool, json.Number, string, []any and
// map[string]any. It is stricter than most readers: what two of them might take
// for different values (members that are there twice, bytes that are no UTF-8)
// is an error, because the service behind us may be the other one. Errors
// repeat nothing of the text.
func readJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(text))}
	r.dec.UseNumber()
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

type jsonReader struct {
	dec    *json.Decoder
	values int
}

func (r *jsonReader) value(depth int) (any, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON, at byte %d", r.dec.InputOffset())
	}
	return r.rest(t, depth)
}

// rest reads the value that begins with t.
func (r *jsonReader) rest(t json.Token, depth int) (any, error) {
	if r.values++; r.values > maxJSONValues {
		return nil, fmt.Errorf("more than %d values", maxJSONValues)
	}
	switch t := t.(type) {
	case json.Number:
		return t, checkNumber(string(t))
	case json.Delim:
		if depth >= maxJSONDepth {
			return nil, fmt.Errorf("deeper than %d", maxJSONDepth)
		}
		if t == '[' {
			return r.array(depth + 1)
		}
		return r.object(depth + 1)
	}
	return t, nil
}

func (r *jsonReader) array(depth int) (any, error) {
	list := []any{}
	for r.dec.More() {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, r.end()
}

func (r *jsonReader) object(depth int) (any, error) {
	m := map[string]any{}
	for r.dec.More() {
		t, err := r.dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("not JSON, at byte %d", r.dec.InputOffset())
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("a member is there twice, at byte %d", r.dec.InputOffset())
		}
		if m[name], err = r.value(depth); err != nil {
			return nil, err
		}
	}
	return m, r.end()
}

func (r *jsonReader) end() error {
	if _, err := r.dec.Token(); err != nil {
		return fmt.Errorf("not JSON, at byte %d", r.dec.InputOffset())
	}
	return nil
}

// checkNumber bounds what it costs to calculate with a number.
func checkNumber(s string) error {
	if len(s) > maxJSONNumber {
		return fmt.Errorf("a number of more than %d digits", maxJSONNumber)
	}
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return nil
	}
	power := 0
	for _, c := range strings.TrimLeft(s[i+1:], "+-") {
		if power = power*10 + int(c-'0'); power > maxJSONPower {
			return fmt.Errorf("a number with an exponent beyond %d", maxJSONPower)
		}
	}
	return nil
}
