package transcode

import (
	"slices"
	"strings"

	"gopura/exchange"
)

// FieldError is what is wrong with one value of a message. It repeats no value.
type FieldError struct {
	Where  string   // "" for a body, else "query", "path", "header"
	Detail string   // what is expected
	steps  []string // from the inside out: names, and [2] for elements
}

func flaw(detail string) *FieldError { return &FieldError{Detail: detail} }

// within says that e is in the field name.
func (e *FieldError) within(name string) *FieldError {
	e.steps = append(e.steps, name)
	return e
}

// Path returns where the value is: items[2].price.
func (e *FieldError) Path() string {
	var b strings.Builder
	for _, s := range slices.Backward(e.steps) {
		if b.Len() > 0 && !strings.HasPrefix(s, "[") {
			b.WriteByte('.')
		}
		b.WriteString(s)
	}
	return b.String()
}

// Error says where and what: "items[2].price: a number is expected".
func (e *FieldError) Error() string {
	path := e.Path()
	if e.Where != "" {
		path = strings.TrimSpace(e.Where + " " + path)
	}
	if path == "" {
		return e.Detail
	}
	return path + ": " + e.Detail
}

// pointer returns the place as flaws have it: #/items/2/price, #query/page.
func (e *FieldError) pointer() string {
	if e.Where != "" {
		return "#" + e.Where + "/" + e.Path()
	}
	var b strings.Builder
	b.WriteByte('#')
	for _, s := range slices.Backward(e.steps) {
		if n := len(s); n > 2 && s[0] == '[' {
			s = s[1 : n-1]
		}
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
	}
	return b.String()
}

// refusal is the answer to a request that holds the flaw.
func (e *FieldError) refusal() *exchange.Error {
	r := exchange.RequestInvalid.Saying(e.Error())
	r.Flaws = []exchange.Flaw{{Pointer: e.pointer(), Detail: e.Detail}}
	return r
}
