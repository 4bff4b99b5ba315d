package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Origin is what a document was read from: enough to read it again, and much
// smaller than it.
type Origin struct {
	texts   []Source
	options Options
	recall  map[string]resolved // what its references stood for
}

// Origin returns what the document was read from.
func (d *Document) Origin() *Origin { return d.origin }

// Copy reads the document again with what its references stood for then: it means
// the same, and shares nothing with any other.
func (o *Origin) Copy() (*Document, error) {
	options := o.options
	options.recall = o.recall
	return Parse(o.texts, options)
}

// Again reads the same texts with what their references stand for now.
func (o *Origin) Again() (*Document, error) { return Parse(o.texts, o.options) }

// Try reads other texts as a change of the document, for a look at them: references
// that the document makes stand for what they stand for in it, others are not looked
// up. unknown names those; a word stands in their place.
func (o *Origin) Try(texts []Source) (doc *Document, unknown []string, err error) {
	options := o.options
	options.recall, options.sealed = o.recall, &unknown
	doc, err = Parse(texts, options)
	return doc, unknown, err
}

// Same reports whether two documents were read from the same texts.
func (o *Origin) Same(other *Origin) bool {
	return slices.EqualFunc(o.texts, other.texts, func(a, b Source) bool {
		return a.Name == b.Name && bytes.Equal(a.Data, b.Data)
	})
}

// Names are the names of the files.
func (o *Origin) Names() (list []string) {
	for _, t := range o.texts {
		list = append(list, t.Name)
	}
	return list
}

// Size is how many bytes the texts have.
func (o *Origin) Size() (n int) {
	for _, t := range o.texts {
		n += len(t.Data)
	}
	return n
}

// MaskedTexts returns the texts for people to look at: every secret that stands
// in one is covered by as many stars, so that lines and columns stay what they
// are. References are no secrets, what they stand for is not in the text.
func (d *Document) MaskedTexts() []Source {
	list := slices.Clone(d.origin.texts)
	for i := range list {
		list[i].Data = []byte(d.problems.secrets.cover(string(list[i].Data)))
	}
	return list
}

// suspicious finds values beside keys whose names say that they are secret, and
// passwords in URLs: settings that are texts to the decoder, such as a header
// field with credentials.
var suspicious = regexp.MustCompile(`(?i)(?:` +
	`["']?[\w-]*(?:authorization|token|password|passwd|secret|api[_-]?key|credentials?)["']?\s*:[ \t]*` + // the key
	`("(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'|[^\s"'{\[|>&*#,}][^\n,}]*)` + // its value
	`|\w://([^/\s@"']+)@)`)

// cover hides the secrets of a text of the configuration.
func (s *secrets) cover(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(s.coverLine(line))
	}
	return b.String()
}

func (s *secrets) coverLine(line string) string {
	line = s.mask(line)
	out, from := "", 0
	for _, m := range suspicious.FindAllStringSubmatchIndex(line, -1) {
		at, end := m[2], m[3]
		if at < 0 {
			at, end = m[4], m[5]
		}
		value := line[at:end]
		if hasReference(value) || expression(value) {
			continue
		}
		out += line[from:at] + strings.Repeat("*", len([]rune(value)))
		from = end
	}
	return out + line[from:]
}

// words are values that keys with such names have when they are no secrets.
var words = []string{"true", "false", "null", "on", "off", "keep", "drop", "none"}

// expression reports whether a value is a path of a fact, a word or a template,
// not a secret: jwt.sub, {path.token}.
func expression(value string) bool {
	value = strings.Trim(value, `"' `)
	return slices.Contains(words, value) || strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}")
}
