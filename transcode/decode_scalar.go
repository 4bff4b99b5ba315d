package transcode

import (
	"encoding/base64"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// mapKey appends a key, which in JSON is a string whatever it stands for.
func (d *decoder) mapKey(f *field, name []byte) *FieldError {
	switch f.kind {
	case protoreflect.StringKind:
		d.out = protowire.AppendBytes(d.out, name)
		return nil
	case protoreflect.BoolKind:
		switch string(name) {
		case "true":
			d.out = append(d.out, 1)
			return nil
		case "false":
			d.out = append(d.out, 0)
			return nil
		}
		return flaw("the keys are true and false")
	}
	// strconv's idea of a number, not JSON's: +1 and 007 are keys.
	var text []byte
	if signed(f.kind) {
		v, err := strconv.ParseInt(string(name), 10, bitsOf(f.kind))
		if err != nil {
			return flaw("the keys are numbers that fit " + article(f.kind))
		}
		text = strconv.AppendInt(nil, v, 10)
	} else {
		v, err := strconv.ParseUint(string(name), 10, bitsOf(f.kind))
		if err != nil {
			return flaw("the keys are numbers that fit " + article(f.kind))
		}
		text = strconv.AppendUint(nil, v, 10)
	}
	d.out, _ = appendNumber(d.out, f.kind, text, false)
	return nil
}

func signed(k protoreflect.Kind) bool {
	switch k {
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return false
	}
	return true
}

// scalar appends a value that is no message.
func (d *decoder) scalar(f *field) (bool, *FieldError) {
	switch f.kind {
	case protoreflect.StringKind:
		s, err := d.text()
		if err != nil {
			return false, err
		}
		d.out = protowire.AppendBytes(d.out, s)
		return true, nil
	case protoreflect.BytesKind:
		s, err := d.text()
		if err != nil {
			return false, err
		}
		return true, d.base64(s)
	case protoreflect.BoolKind:
		switch {
		case d.word("true"):
			d.out = append(d.out, 1)
		case d.word("false"):
			d.out = append(d.out, 0)
		default:
			return false, flaw("true or false is expected")
		}
		return true, nil
	case protoreflect.EnumKind:
		return d.enum(f.enum)
	}
	text, ok := d.number()
	quoted := false
	if !ok {
		if d.space() != '"' {
			return false, expected(f.kind)
		}
		s, err := d.text()
		if err != nil {
			return false, err
		}
		text, quoted = s, true
	}
	var good bool
	if d.out, good = appendNumber(d.out, f.kind, text, quoted); !good {
		return false, expected(f.kind)
	}
	return true, nil
}

// enum decodes a name or a number.
func (d *decoder) enum(e *enum) (bool, *FieldError) {
	if e.null && d.word("null") {
		d.out = append(d.out, 0)
		return true, nil
	}
	if text, ok := d.number(); ok {
		v, ok := parseInt(text, 32)
		if !ok {
			return false, flaw("a name or number of the enum is expected")
		}
		d.out = protowire.AppendVarint(d.out, uint64(v))
		return true, nil
	}
	if d.space() != '"' {
		return false, flaw("a name or number of the enum is expected")
	}
	name, err := d.text()
	if err != nil {
		return false, err
	}
	v, ok := e.numbers[string(name)]
	switch {
	case ok:
		d.out = protowire.AppendVarint(d.out, uint64(int64(v)))
	case d.codec.options.IgnoreUnknown:
		return false, nil
	default:
		return false, flaw("the enum has no such name")
	}
	return true, nil
}

// base64 appends what s encodes, standard or for URLs, padded or not.
func (d *decoder) base64(s []byte) *FieldError {
	var ok bool
	if d.out, ok = appendBase64(d.out, s); !ok {
		return flaw("base64 is expected")
	}
	return nil
}

func appendBase64(dst, s []byte) ([]byte, bool) {
	enc := base64.StdEncoding
	for _, c := range s {
		if c == '-' || c == '_' {
			enc = base64.URLEncoding
			break
		}
	}
	if len(s)%4 != 0 {
		enc = enc.WithPadding(base64.NoPadding)
	}
	n := enc.DecodedLen(len(s))
	if len(s) > 0 && len(s)%4 == 0 && s[len(s)-1] == '=' { // padding
		n--
		if s[len(s)-2] == '=' {
			n--
		}
	}
	at := len(dst)
	dst = protowire.AppendVarint(dst, uint64(n))
	start := len(dst)
	out, err := enc.AppendDecode(dst, s)
	if err != nil {
		return dst, false
	}
	if got := len(out) - start; got != n { // line breaks within the text
		b := append([]byte(nil), out[start:]...)
		out = protowire.AppendBytes(dst[:at], b)
	}
	return out, true
}

// appendNumber appends a number of JSON, or (quoted) of a JSON string, as the
// wire has it.
func appendNumber(dst []byte, k protoreflect.Kind, text []byte, quoted bool) ([]byte, bool) {
	switch k {
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		v, ok := parseInt(text, bitsOf(k))
		return protowire.AppendVarint(dst, uint64(v)), ok
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		v, ok := parseInt(text, bitsOf(k))
		return protowire.AppendVarint(dst, protowire.EncodeZigZag(v)), ok
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		v, ok := parseUint(text, bitsOf(k))
		return protowire.AppendVarint(dst, v), ok
	case protoreflect.Sfixed32Kind:
		v, ok := parseInt(text, 32)
		return protowire.AppendFixed32(dst, uint32(v)), ok
	case protoreflect.Fixed32Kind:
		v, ok := parseUint(text, 32)
		return protowire.AppendFixed32(dst, uint32(v)), ok
	case protoreflect.Sfixed64Kind:
		v, ok := parseInt(text, 64)
		return protowire.AppendFixed64(dst, uint64(v)), ok
	case protoreflect.Fixed64Kind:
		v, ok := parseUint(text, 64)
		return protowire.AppendFixed64(dst, v), ok
	case protoreflect.FloatKind:
		v, ok := parseReal(text, 32, quoted)
		return protowire.AppendFixed32(dst, math.Float32bits(float32(v))), ok
	case protoreflect.DoubleKind:
		v, ok := parseReal(text, 64, quoted)
		return protowire.AppendFixed64(dst, math.Float64bits(v)), ok
	}
	return dst, false
}

// parseReal reads a floating-point number; a string may also name what JSON has
// no number for.
func parseReal(text []byte, bits int, quoted bool) (float64, bool) {
	if quoted {
		switch string(text) {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
	}
	return parseFloat(text, bits)
}

func bitsOf(k protoreflect.Kind) int {
	switch k {
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Uint64Kind, protoreflect.Sfixed64Kind, protoreflect.Fixed64Kind:
		return 64
	}
	return 32
}

// expected says what a kind of number wants.
func expected(k protoreflect.Kind) *FieldError {
	switch k {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return flaw("a number that fits a " + k.String() + " is expected")
	}
	return flaw("a whole number that fits " + article(k) + " is expected")
}

func article(k protoreflect.Kind) string {
	if k == protoreflect.Int32Kind || k == protoreflect.Int64Kind {
		return "an " + k.String()
	}
	return "a " + k.String()
}
