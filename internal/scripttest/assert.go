package scripttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

func keys(h http.Header) iter.Seq[string] { return maps.Keys(h) }

func matches(re, text string) error {
	c, err := regexp.Compile("(?m)" + re)
	if err != nil {
		return usageError{err}
	}
	if !c.MatchString(text) {
		return fmt.Errorf("%q does not match in %q", re, text)
	}
	return nil
}

func (r *run) status(a args) error {
	want, err := strconv.Atoi(a.words[0])
	if err != nil {
		return usageError{err}
	}
	p, err := r.answered()
	if err != nil {
		return err
	}
	if p.status != want {
		return fmt.Errorf("the status is %d", p.status)
	}
	return nil
}

func (r *run) header(a args) error {
	p, err := r.answered()
	if err != nil {
		return err
	}
	return fieldIs(p.header, a)
}

func (r *run) trailer(a args) error {
	p, err := r.answered()
	if err != nil {
		return err
	}
	return fieldIs(p.trailer, a)
}

func fieldIs(h http.Header, a args) error {
	name := a.words[0]
	got, ok := h[http.CanonicalHeaderKey(name)]
	value := strings.Join(got, ", ")
	switch {
	case !ok:
		return fmt.Errorf("there is no %s", name)
	case a.has("match"):
		return matches(a.option("match"), value)
	case len(a.words) == 2 && value != a.words[1]:
		return fmt.Errorf("%s is %q", name, value)
	}
	return nil
}

func (r *run) body(a args) error {
	p, err := r.answered()
	if err != nil {
		return err
	}
	return r.compare(a, p.body)
}

// compare holds a body against what a command says of it.
func (r *run) compare(a args, got []byte) error {
	var want []byte
	switch {
	case a.has("match"):
		return matches(a.option("match"), string(got))
	case a.has("contains"):
		if !strings.Contains(string(got), a.word(0)) {
			return fmt.Errorf("%q is not in it: %s", a.word(0), short(got))
		}
		return nil
	case a.has("size"):
		n, err := size(a.option("size"))
		if err != nil {
			return err
		}
		want = filler(n)
	case a.has("file"):
		want = []byte(r.files[a.option("file")])
	case a.has("empty"):
	case len(a.words) == 1:
		want = []byte(a.words[0])
	default:
		return usage("what must the body be?")
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the body is %s", short(got))
	}
	return nil
}

func short(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf("%d bytes, %q…", len(b), b[:200])
	}
	return fmt.Sprintf("%q", b)
}

func (r *run) json(a args) error {
	p, err := r.answered()
	if err != nil {
		return err
	}
	got, err := lookUp(p.body, a.words[0])
	if err != nil {
		return err
	}
	if len(a.words) == 2 && got != a.words[1] {
		return fmt.Errorf("%s is %s", a.words[0], got)
	}
	return nil
}

// lookUp returns the value at a path (.a.b[0]) as text: a string without its
// quotes, everything else as JSON.
func lookUp(data []byte, path string) (string, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	for _, step := range strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune(".[]", c) }) {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step]
			if !ok {
				return "", fmt.Errorf("there is no %s", path)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return "", fmt.Errorf("there is no %s", path)
			}
			v = at[i]
		default:
			return "", fmt.Errorf("there is no %s", path)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

func (r *run) access(a args) error {
	if r.gateway == nil {
		return usage("no gateway runs")
	}
	return within(r.patience, func() error {
		records := r.gateway.AccessRecords()
		records = records[min(r.records, len(records)):]
		err := errors.New("the last request has no access record")
		for record := range bytes.Lines(records) {
			if !bytes.HasSuffix(record, []byte("\n")) {
				break // still being written
			}
			if err = recordIs(record, a.words); err == nil {
				return nil
			}
			err = fmt.Errorf("%w\naccess records:\n%s", err, records)
		}
		return err
	})
}

func recordIs(record []byte, pairs []string) error {
	for _, pair := range pairs {
		key, want, ok := strings.Cut(pair, "=")
		if !ok {
			return usage("%q is not KEY=VALUE", pair)
		}
		got, err := lookUp(record, "."+key)
		if err != nil {
			return err
		}
		switch re, isMatch := strings.CutPrefix(want, "~"); {
		case want == "*":
			ok = got != ""
		case isMatch:
			ok = matches(re, got) == nil
		default:
			ok = got == want
		}
		if !ok {
			return fmt.Errorf("%s is %q", key, got)
		}
	}
	return nil
}
