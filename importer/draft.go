package importer

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

// draft is a configuration of ours that is being made.
type draft struct {
	from, file string
	opts       Options
	listen     *block
	trusted    []any // trusted_proxies
	limits     *block
	timeouts   *block
	identity   *block
	services   *block
	policies   *block
	defaults   *block
	routes     []*block
	losses     []Loss
	files      map[string][]byte
	taken      map[string]int // "kind name" of services, routes, …: how often it was asked for
}

func newDraft(from, file string, o Options) *draft {
	return &draft{from: from, file: file, opts: o, taken: map[string]int{}, files: map[string][]byte{}, listen: &block{}, limits: &block{}, timeouts: &block{},
		identity: &block{}, services: &block{}, policies: &block{}, defaults: &block{}}
}

// A Kind says what became of something in the source.
type Kind string

const (
	Lost    Kind = "lost"    // it is not in the result
	Differs Kind = "differs" // it is, and does not behave in quite the same way
	Closed  Kind = "closed"  // it kept somebody out and is not in the result: the route refuses everybody
	Note    Kind = "note"    // nothing is lost, and one should know
)

// Loss is something of the source that the result does not have as it was.
type Loss struct {
	Pos  config.Pos `json:"-"`
	At   string     `json:"at,omitempty"`
	Kind Kind       `json:"kind"`
	What string     `json:"what"`
	Why  string     `json:"why"`
	Do   string     `json:"do,omitempty"`
}

// String returns it in one line.
func (l Loss) String() string {
	text := fmt.Sprintf("%s: %s: %s: %s", l.Pos, l.Kind, l.What, l.Why)
	if l.Do != "" {
		text += "; " + l.Do
	}
	return oneLine(text)
}

// Matters reports whether somebody has to look at it.
func (l Loss) Matters() bool { return l.Kind != Note }

// maxLosses is how many are told: past it nobody reads on.
const maxLosses = 2000

// lose notes a loss, and leaves a comment at the block where the thing would
// stand; nil: none.
func (d *draft) lose(at *block, kind Kind, pos config.Pos, what, why, do string) {
	what, why, do = oneLine(what), oneLine(why), oneLine(do)
	l := Loss{Pos: pos, At: pos.String(), Kind: kind, What: what, Why: why, Do: do}
	if len(d.losses) >= maxLosses || slices.Contains(d.losses, l) {
		return
	}
	d.losses = append(d.losses, l)
	if at == nil {
		return
	}
	head := map[Kind]string{Lost: "not imported", Differs: "differs", Closed: "closed", Note: "note"}[kind]
	text := head
	if pos.Line > 0 {
		text += " (line " + strconv.Itoa(pos.Line) + ")"
	}
	text += ": " + what + ": " + why
	if do != "" {
		text += "; " + do
	}
	at.note(text)
}

// shut closes a route, because something that kept somebody out is lost.
func (d *draft) shut(route *block, pos config.Pos, what, why, do string) {
	d.lose(route, Closed, pos, what, why, do+"; then remove allow: \"false\"")
	route.set("allow", "false")
}

func (d *draft) report() []Loss {
	slices.SortStableFunc(d.losses, func(a, b Loss) int {
		if a.Pos.File != b.Pos.File {
			return strings.Compare(a.Pos.File, b.Pos.File)
		}
		return a.Pos.Line - b.Pos.Line
	})
	return d.losses
}

// unique returns a name for a kind of thing that nothing else of that kind has.
func (d *draft) unique(kind, name string) string {
	key := kind + " " + name
	for n := d.taken[key]; n > 0; n++ { // from where the last search ended
		try := name + "-" + strconv.Itoa(n+1)
		if d.taken[kind+" "+try] == 0 {
			d.taken[key], name = n+1, try
			break
		}
	}
	d.taken[kind+" "+name]++
	return name
}

// slug is a text as the name of a service or block: letters, digits, _ - and .
func slug(text, otherwise string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '.':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() > 60 {
			break
		}
	}
	if s := strings.Trim(b.String(), "-."); s != "" {
		return s
	}
	return otherwise
}

// addService adds a service under a name like this one, and returns the name.
func (d *draft) addService(name string, b *block) string {
	name = d.unique("service", slug(name, "service"))
	if given, ok := d.opts.Services[name]; ok {
		b.set("targets", given)
	}
	if len(b.fields) == 1 && b.fields[0].key == "targets" && len(b.notes) == 0 {
		d.services.set(name, b.fields[0].value)
	} else {
		d.services.set(name, b)
	}
	return name
}

// origin returns scheme://host:port of a URL as a target of ours, or "".
func origin(text string) (string, *url.URL) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return "", nil
	}
	switch u.Scheme {
	case "http", "https", "grpc", "grpcs", "h2c":
		return u.Scheme + "://" + u.Host, u
	}
	return "", nil
}

// oneLine makes a text fit for a comment or a line of a report: it can't end it.
func oneLine(text string) string {
	var b strings.Builder
	for _, w := range strings.Fields(text) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for _, r := range w {
			if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
				r = '?'
			}
			b.WriteRune(r)
		}
		if b.Len() > 400 {
			return b.String() + " …"
		}
	}
	return b.String()
}

// literal is a text in a template: what it says and nothing else.
func literal(text string) string {
	return strings.NewReplacer("{", "{{", "}", "}}").Replace(text)
}

// quoted is a text in an expression.
func quoted(text string) string { return strconv.Quote(text) }
