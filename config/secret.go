package config

import (
	"cmp"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Secret is a text that is never printed: it formats, logs and marshals as
// "***". Reveal returns it. The zero Secret is no secret.
type Secret struct {
	text *string // a pointer, so that printing a struct around it shows an address at most
}

const hidden = "***"

// NewSecret returns text as a secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text of the secret.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return hidden
}

// GoString is for %#v.
func (s Secret) GoString() string { return "config.Secret(" + hidden + ")" }

// MarshalText is for JSON and everything else that takes texts.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// secrets are the texts that must not be shown.
type secrets struct {
	words  []string // each with its quoted form; sorted, longest first, once redact has run
	known  map[string]bool
	sorted bool
	source []string // those that stand in a file as they are: excerpts hide them as well
}

// learn takes a text that came from a reference.
func (s *secrets) learn(text string) {
	quoted := strconv.Quote(text)
	texts := []string{text, quoted[1 : len(quoted)-1]}
	if strings.Contains(text, "\n") {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) >= 8 {
				texts = append(texts, line)
			}
		}
	}
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	for _, t := range texts {
		if t != "" && !s.known[t] {
			s.known[t], s.sorted = true, false
			s.words = append(s.words, t)
		}
	}
}

// learnLiteral takes a secret that stands in the file itself.
func (s *secrets) learnLiteral(text string) {
	s.learn(text)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			s.source = append(s.source, line)
		}
	}
}

// redact hides every secret in a message. One of fewer than four characters is
// hidden only where it stands alone: "1" says nothing within "10".
func (s *secrets) redact(text string) string {
	if !s.sorted {
		s.sorted = true
		slices.SortFunc(s.words, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	}
	for _, w := range s.words {
		if len(w) >= 4 {
			text = strings.ReplaceAll(text, w, hidden)
			continue
		}
		for from := 0; ; {
			i := strings.Index(text[from:], w)
			if i < 0 {
				break
			}
			i += from
			if end := i + len(w); (i > 0 && wordByte(text[i-1])) || (end < len(text) && wordByte(text[end])) {
				from = end
				continue
			}
			text = text[:i] + hidden + text[i+len(w):]
			from = i + len(hidden)
		}
	}
	return text
}

// mask hides the secrets of a line of a file, keeping its columns.
func (s *secrets) mask(line string) string {
	for _, w := range s.source {
		line = strings.ReplaceAll(line, w, strings.Repeat("*", len([]rune(w))))
	}
	return line
}

func wordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
