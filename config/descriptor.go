package config

import (
	"encoding"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// structInfo is what the tags of a struct say. It drives the decoder, the
// schema and the reference alike.
type structInfo struct {
	name     string
	fields   []field           // those with a key, in the order of the struct
	byKey    map[string]*field // of fields
	words    []wordInfo        // the words that may stand in place of the struct
	short    *field            // the field that may stand in place of the struct
	key      int               // index of the field that takes the key of a map, or -1
	pos      int               // index of the field Pos, or -1
	policies int               // index of the field that takes the policies among the keys, or -1
	only     []string          // the policies that it takes; nil: all
}

// field is one field of a struct.
type field struct {
	index      int
	pos        int // index of the field that takes the place of the value, or -1
	typ        reflect.Type
	key        string
	doc        string
	deflt      string
	hasDefault bool
	required   bool
	enum       []string
	min, max   string
	on, off    bool   // the words on, off in place of the value
	one        string // a list of one may be written as its item; of keyed items, under this name
}

// wordInfo is a word that stands for a struct.
type wordInfo struct {
	word  string
	index int    // of the field that it sets
	text  string // to this
}

var (
	typePos        = reflect.TypeFor[Pos]()
	typeDuration   = reflect.TypeFor[time.Duration]()
	typeSize       = reflect.TypeFor[Size]()
	typePercent    = reflect.TypeFor[Percent]()
	typeRate       = reflect.TypeFor[Rate]()
	typeSecret     = reflect.TypeFor[Secret]()
	typePrefix     = reflect.TypeFor[netip.Prefix]()
	typeAddr       = reflect.TypeFor[netip.Addr]()
	typePolicies   = reflect.TypeFor[[]Policy]()
	typeIdentities = reflect.TypeFor[[]IdentityBlock]()
	typeText       = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// catalog knows the structs and policies that a configuration is made of.
type catalog struct {
	infos   map[reflect.Type]*structInfo
	kinds   []PolicyKind
	names   []string // of kinds
	sources []PolicyKind
}

func newCatalog(o Options) *catalog {
	return &catalog{infos: make(map[reflect.Type]*structInfo), kinds: o.Policies, names: kindNames(o.Policies), sources: o.Identities}
}

func kindNames(kinds []PolicyKind) (names []string) {
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return names
}

// kind returns the policy of this name.
func (c *catalog) kind(name string) *PolicyKind { return kindNamed(c.kinds, name) }

func kindNamed(kinds []PolicyKind, name string) *PolicyKind {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	return nil
}

// keys returns the keys that a map for this struct may have.
func (c *catalog) keys(info *structInfo) []string {
	var keys []string
	for i := range info.fields {
		keys = append(keys, info.fields[i].key)
	}
	for _, k := range c.kindsFor(info) {
		keys = append(keys, k.Name)
	}
	return keys
}

// kindsFor returns the policies that may stand among the keys of a struct.
func (c *catalog) kindsFor(info *structInfo) []PolicyKind {
	switch {
	case info.policies < 0:
		return nil
	case info.only == nil:
		return c.kinds
	}
	var kinds []PolicyKind
	for _, k := range c.kinds {
		if slices.Contains(info.only, k.Name) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func (c *catalog) info(t reflect.Type) *structInfo {
	if info := c.infos[t]; info != nil {
		return info
	}
	info := &structInfo{name: t.Name(), key: -1, pos: -1, policies: -1, byKey: make(map[string]*field)}
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			continue
		}
		tag := sf.Tag
		f := describeField(t, sf, i)
		if word, ok := tag.Lookup("word"); ok {
			word, text, with := strings.Cut(word, "=")
			if !with {
				text = "true"
			}
			info.words = append(info.words, wordInfo{word, i, text})
		}
		if tag.Get("short") == "true" {
			info.short = f
		}
		switch {
		case sf.Name == "Pos" && sf.Type == typePos:
			info.pos = i
		case tag.Get("key") != "":
			info.key = i
		case sf.Type == typePolicies && f.key == "":
			info.policies = i
			if only := tag.Get("only"); only != "" {
				info.only = strings.Split(only, ",")
			}
		case f.key != "":
			info.fields = append(info.fields, *f)
		}
	}
	for i := range info.fields {
		info.byKey[info.fields[i].key] = &info.fields[i]
	}
	c.infos[t] = info
	return info
}

func describeField(t reflect.Type, sf reflect.StructField, index int) *field {
	tag := sf.Tag
	f := &field{index: index, pos: -1, typ: sf.Type, doc: tag.Get("doc"), required: tag.Get("required") == "true",
		min: tag.Get("min"), max: tag.Get("max"), one: tag.Get("one")}
	f.key, _, _ = strings.Cut(tag.Get("yaml"), ",")
	if f.key == "-" {
		f.key = ""
	}
	f.deflt, f.hasDefault = tag.Lookup("default")
	if words := tag.Get("enum"); words != "" {
		f.enum = strings.Split(words, ",")
	}
	for word := range strings.SplitSeq(tag.Get("words"), ",") {
		f.on, f.off = f.on || word == "on", f.off || word == "off"
	}
	if at, ok := t.FieldByName(sf.Name + "Pos"); ok && at.Type == typePos && len(at.Index) == 1 {
		f.pos = at.Index[0]
	}
	return f
}

// elem returns the struct behind a type, its pointers removed.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// isScalar reports whether a type is written as one text.
func isScalar(t reflect.Type) bool {
	switch t {
	case typeDuration, typeSize, typePercent, typeRate, typeSecret, typePrefix, typeAddr:
		return true
	}
	if reflect.PointerTo(t).Implements(typeText) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float64, reflect.Float32,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// keyed reports whether lists of a type are written as maps.
func (c *catalog) keyed(t reflect.Type) bool {
	t = elem(t)
	return t.Kind() == reflect.Struct && !isScalar(t) && c.info(t).key >= 0
}

// what says what a value of a type looks like, for messages and the reference.
func (c *catalog) what(t reflect.Type) string {
	t = elem(t)
	switch t {
	case typeDuration:
		return "a duration (300ms, 5s, 1h30m)"
	case typeSize:
		return "a size (512, 64KiB, 8MiB)"
	case typePercent:
		return "a percentage (50%)"
	case typeRate:
		return "a rate (10/s, 5/10s, 1000/day)"
	case typePrefix:
		return "a network (10.0.0.0/8) or address"
	case typeAddr:
		return "an IP address"
	case typePolicies:
		return "a map of policies"
	case typeIdentities:
		return "a map of sources of identity"
	}
	if isScalar(t) {
		switch t.Kind() {
		case reflect.Bool:
			return "true or false"
		case reflect.Float32, reflect.Float64:
			return "a number"
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return "a whole number"
		}
		return "a text"
	}
	switch t.Kind() {
	case reflect.Slice:
		if c.keyed(t.Elem()) {
			return "a map"
		}
		return "a list"
	case reflect.Map:
		return "a map"
	case reflect.Struct:
		return either(c.forms(t, new(field)))
	}
	return "anything"
}

// forms returns the ways in which a struct may be written, the long one last.
func (c *catalog) forms(t reflect.Type, f *field) (forms []string) {
	info := c.info(elem(t))
	if f.on {
		forms = append(forms, "on")
	}
	if f.off {
		forms = append(forms, "off")
	}
	for _, w := range info.words {
		if !slices.Contains(forms, w.word) {
			forms = append(forms, w.word)
		}
	}
	if s := info.short; s != nil {
		switch {
		case len(s.enum) > 0:
			forms = append(forms, s.enum...)
		case s.typ.Kind() == reflect.Slice:
			forms = append(forms, "a text", "a list")
		default:
			forms = append(forms, c.what(s.typ))
		}
	}
	return append(forms, "a map")
}

// whatList says what a list of a type looks like where f is used.
func (c *catalog) whatList(item reflect.Type, f *field) string {
	switch {
	case c.keyed(item) && f.one != "":
		return "a text or a map"
	case c.keyed(item):
		return "a map"
	case f.one != "" && isScalar(item):
		return c.what(item) + " or a list"
	}
	return "a list"
}
