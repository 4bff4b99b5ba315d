package compose

import (
	"strings"

	"gopura/config"
)

// insertion is a text that was put into another one before it was compiled.
type insertion struct{ at, n int } // offset in the new text, length

// origin returns where a byte of the new text stands in the one as written.
func origin(list []insertion, offset int) int {
	moved := 0
	for _, in := range list {
		switch {
		case in.at+in.n <= offset:
			moved += in.n
		case in.at < offset:
			return in.at - moved
		}
	}
	return offset - moved
}

// qualify rewrites the holes of a template that hold a path parameter alone:
// {id} becomes {path.id}. It also returns the holes that hold any other name
// alone, for a better complaint than CEL's.
func qualify(text string, params []string) (out string, list []insertion, bare []name) {
	var b strings.Builder
	last := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '{' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '{' {
			i++
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			break
		}
		hole := text[i+1 : i+end]
		word := strings.TrimSpace(hole)
		if !isName(word) {
			i += skip(text[i:])
			continue
		}
		at := i + 1 + strings.Index(hole, word)
		if contains(params, word) {
			b.WriteString(text[last:at])
			list = append(list, insertion{b.Len(), len("path.")})
			b.WriteString("path.")
			last = at
		} else {
			bare = append(bare, name{word, at})
		}
		i += end
	}
	b.WriteString(text[last:])
	return b.String(), list, bare
}

// name is a word of a template, and where it stands.
type name struct {
	text string
	at   int
}

// skip returns how far a hole goes that holds an expression: to the brace that
// closes it, past the texts and braces within.
func skip(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		case '"', '\'':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return len(text)
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

func contains(list []string, s string) bool {
	for _, t := range list {
		if t == s {
			return true
		}
	}
	return false
}

// quoteKeys writes the keys of {id: path.id} as CEL wants them: {"id": path.id}.
func quoteKeys(text string) (string, []insertion) {
	var b strings.Builder
	var list []insertion
	key := false // a key may come next
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"' || c == '\'':
			end := i + 1
			for ; end < len(text) && text[end] != c; end++ {
				if text[end] == '\\' {
					end++
				}
			}
			end = min(end+1, len(text))
			b.WriteString(text[i:end])
			i, key = end-1, false
			continue
		case key && isName(string(c)):
			end := i
			for end < len(text) && isName("a"+string(text[end])) {
				end++
			}
			word := text[i:end]
			if strings.HasPrefix(strings.TrimLeft(text[end:], " "), ":") {
				list = append(list, insertion{b.Len(), 1}, insertion{b.Len() + 1 + len(word), 1})
				b.WriteString(`"` + word + `"`)
			} else {
				b.WriteString(word)
			}
			i, key = end-1, false
			continue
		case c == '{' || c == ',':
			key = true
		case c != ' ':
			key = false
		}
		b.WriteByte(c)
	}
	return b.String(), list
}

// suggest is the hint for a name that is not there.
func suggest(word string, known []string) string { return config.Suggest(word, known) }
