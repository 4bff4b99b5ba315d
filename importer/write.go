package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// block is a map of the result, in order, with comments in front of it.
type block struct {
	notes  []string
	fields []field
	tail   []string // comments behind the last key
}

type field struct {
	key   string
	value any // string, reference, int, bool, nil, *block, []any
}

// reference is a text in which ${…} means what it means to us; in all other
// texts it is what the source said.
type reference string

func (b *block) note(text string) { b.notes = append(b.notes, oneLine(text)) }

// set sets a key, or takes the place of its value.
func (b *block) set(key string, value any) *block {
	for i := range b.fields {
		if b.fields[i].key == key {
			b.fields[i].value = value
			return b
		}
	}
	b.fields = append(b.fields, field{key, value})
	return b
}

func (b *block) get(key string) any {
	for _, f := range b.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

func (b *block) has(key string) bool { return b.get(key) != nil }

// sub returns the map under a key, made if it is not there.
func (b *block) sub(keys ...string) *block {
	for _, key := range keys {
		s, ok := b.get(key).(*block)
		if !ok {
			s = &block{}
			b.set(key, s)
		}
		b = s
	}
	return b
}

// push appends to the list under a key.
func (b *block) push(key string, value any) {
	list, _ := b.get(key).([]any)
	b.set(key, append(list, value))
}

func mapOf(pairs ...any) *block {
	b := &block{}
	for i := 0; i+1 < len(pairs); i += 2 {
		b.set(pairs[i].(string), pairs[i+1])
	}
	return b
}

func listOf(texts []string) any {
	if len(texts) == 1 {
		return texts[0]
	}
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}

// lineWidth is how long a value may be that is written on one line.
const lineWidth = 110

type writer struct{ strings.Builder }

// render writes the draft.
func (d *draft) render() []byte {
	w := &writer{}
	fmt.Fprintf(w, "# Made by gopura import from %s (%s).\n", oneLine(d.file), d.from)
	n := 0
	for _, l := range d.losses {
		if l.Matters() {
			n++
		}
	}
	if n > 0 {
		fmt.Fprintf(w, "# Not all is as it was (%d): look for \"not imported\", \"differs\" and \"closed\".\n", n)
	}
	w.WriteByte('\n')
	w.field("listen", d.listenValue(), 0)
	if d.trusted != nil {
		w.field("trusted_proxies", d.trusted, 0)
	}
	for _, s := range []struct {
		key string
		b   *block
	}{{"timeouts", d.timeouts}, {"limits", d.limits}, {"identity", d.identity}, {"services", d.services}, {"policies", d.policies}, {"defaults", d.defaults}} {
		if len(s.b.fields)+len(s.b.notes) == 0 {
			continue
		}
		w.WriteByte('\n')
		w.comments(s.b.notes, 0)
		if len(s.b.fields) > 0 {
			w.WriteString(s.key + ":\n")
			w.fields(s.b, 2)
		}
	}
	if len(d.routes) == 0 {
		return []byte(w.String() + "\nroutes: []\n")
	}
	w.WriteString("\nroutes:\n")
	for _, r := range d.routes {
		w.item(r, 2)
	}
	return []byte(w.String())
}

func (d *draft) listenValue() any {
	if len(d.listen.fields) == 0 {
		return ":8080"
	}
	if text, ok := d.listen.get("default").(string); ok && len(d.listen.fields) == 1 {
		return text
	}
	return d.listen
}

func (w *writer) indent(n int) { w.WriteString(strings.Repeat(" ", n)) }

func (w *writer) comments(notes []string, indent int) {
	for _, n := range notes {
		for _, line := range wrap(n, lineWidth-indent) {
			w.indent(indent)
			w.WriteString("# " + line + "\n")
		}
	}
}

// wrap parts a text into lines; what follows the first is set in.
func wrap(text string, width int) (lines []string) {
	for len(text) > width {
		i := strings.LastIndexByte(text[:width], ' ')
		if i < 20 {
			break
		}
		lines = append(lines, text[:i])
		text = "  " + text[i+1:]
	}
	return append(lines, text)
}

func (w *writer) fields(b *block, indent int) {
	for _, f := range b.fields {
		if s, ok := f.value.(*block); ok {
			w.comments(s.notes, indent)
		}
		w.field(f.key, f.value, indent)
	}
	w.comments(b.tail, indent)
}

func (w *writer) field(key string, value any, indent int) {
	w.indent(indent)
	w.WriteString(scalar(key, false) + ":")
	if flat, ok := flow(value); ok && indent+len(key)+len(flat) < lineWidth && !tall(value) {
		if _, isBlock := value.(*block); !isBlock {
			if _, isList := value.([]any); !isList {
				flat = plainText(value, false)
			}
		}
		w.WriteString(" " + flat + "\n")
		return
	}
	switch v := value.(type) {
	case *block:
		w.WriteByte('\n')
		w.fields(v, indent+2)
	case []any:
		w.WriteByte('\n')
		for _, item := range v {
			w.item(item, indent+2)
		}
	default:
		w.WriteString(" " + plainText(value, false) + "\n")
	}
}

// tall reports whether a map is better read with a line for each key.
func tall(value any) bool {
	b, ok := value.(*block)
	return ok && len(b.fields) > 5
}

func (w *writer) item(value any, indent int) {
	b, ok := value.(*block)
	if ok {
		w.comments(b.notes, indent)
	}
	if flat, fits := flow(value); fits && (!ok || indent > 2) && indent+len(flat) < lineWidth {
		w.indent(indent)
		w.WriteString("- " + flat + "\n")
		return
	}
	if !ok {
		w.indent(indent)
		w.WriteString("- " + plainText(value, false) + "\n")
		return
	}
	inner := &writer{}
	inner.fields(b, indent+2)
	w.indent(indent)
	text := inner.String()
	if len(text) > indent+2 && text[indent+2] == '#' { // a comment in front of the first key
		w.WriteString("-\n" + text)
		return
	}
	w.WriteString("- " + strings.TrimPrefix(text, strings.Repeat(" ", indent+2)))
}

// flow returns a value on one line; false: it holds comments.
func flow(value any) (string, bool) {
	switch v := value.(type) {
	case *block:
		if len(v.fields) == 0 {
			return "{}", true
		}
		var parts []string
		for _, f := range v.fields {
			if s, ok := f.value.(*block); ok && len(s.notes) > 0 {
				return "", false
			}
			text, ok := flow(f.value)
			if !ok {
				return "", false
			}
			parts = append(parts, scalar(f.key, true)+": "+text)
		}
		return "{ " + strings.Join(parts, ", ") + " }", true
	case []any:
		var parts []string
		for _, item := range v {
			if s, ok := item.(*block); ok && len(s.notes) > 0 {
				return "", false
			}
			text, ok := flow(item)
			if !ok {
				return "", false
			}
			parts = append(parts, text)
		}
		return "[" + strings.Join(parts, ", ") + "]", true
	}
	return plainText(value, true), true
}

func plainText(value any, inFlow bool) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case number:
		return string(v)
	case reference:
		return strconv.Quote(string(v))
	case string:
		return scalar(strings.ReplaceAll(v, "${", "$${"), inFlow)
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	}
	return scalar(fmt.Sprint(value), inFlow)
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z0-9/_.:][A-Za-z0-9/_.:;|@+=?&{}*$%()~^<> -]*$`)
	otherType   = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|y|n|null|~|[-+.]?[0-9][0-9a-fx_.:+-]*|[-+]?\.(inf|nan)|\.nan)$`)
)

// scalar writes a text so that YAML reads that text.
func scalar(text string, inFlow bool) string {
	switch {
	case text == "":
		return `""`
	case text == "on" || text == "off" || !inFlow && portOnly(text):
		return text // words of ours
	case plainScalar.MatchString(text) && !otherType.MatchString(text) && !strings.Contains(text, ": ") && !strings.HasSuffix(text, ":") && !strings.HasSuffix(text, " ") &&
		!strings.HasPrefix(text, ":") && !(inFlow && strings.ContainsAny(text, "{}?:")) || inFlow && isAddress(text):
		return text
	case !strings.ContainsAny(text, "'\\") && strings.Contains(text, `"`) && printable(text), strings.Contains(text, `\`) && !strings.Contains(text, "'") && printable(text):
		return "'" + text + "'"
	}
	return doubleQuoted(text)
}

var portOnly = regexp.MustCompile(`^:[0-9]+$`).MatchString

// isAddress is for http://host:port and durations such as 1h in flow style.
var isAddress = regexp.MustCompile(`^[a-z][a-z0-9]*://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9/_.-]*)?$`).MatchString

func printable(text string) bool {
	for _, r := range text {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// doubleQuoted is a text in double quotes by YAML's rules.
func doubleQuoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(text, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// number is a number as the source wrote it.
type number string
