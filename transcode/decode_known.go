package transcode

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// known decodes the messages that have a form of their own in JSON.
func (d *decoder) known(m *shape) *FieldError {
	switch m.form {
	case wrapper:
		return d.singular(&m.fields[0])
	case structure:
		return d.mapping(&m.fields[0])
	case listValue:
		return d.list(&m.fields[0])
	case anyValue:
		return d.anything(m)
	}
	text, err := d.text()
	if err != nil {
		return err
	}
	var detail string
	switch m.form {
	case timestamp:
		d.out, detail = appendTimestamp(d.out, string(text))
	case duration:
		d.out, detail = appendDuration(d.out, text)
	case fieldMask:
		d.out, detail = appendFieldMask(d.out, text)
	}
	if detail != "" {
		return flaw(detail)
	}
	return nil
}

// anything decodes a google.protobuf.Value, whose fields are null, number,
// string, bool, struct and list.
func (d *decoder) anything(m *shape) *FieldError {
	number := uint64(2)
	switch c := d.space(); {
	case c == '"':
		number = 3
	case c == '{':
		number = 5
	case c == '[':
		number = 6
	case c == 'n' && d.word("null"):
		d.out = append(d.out, 1<<3, 0)
		return nil
	case c == 't' && d.word("true"):
		d.out = append(d.out, 4<<3, 1)
		return nil
	case c == 'f' && d.word("false"):
		d.out = append(d.out, 4<<3, 0)
		return nil
	case c != '-' && (c < '0' || c > '9'):
		return flaw("is not valid JSON")
	}
	f := &m.fields[m.numbered(number)]
	d.out = append(d.out, f.one...)
	_, err := d.value(f)
	return err
}

// appendTimestamp appends the fields of a Timestamp; detail says why it can't.
func appendTimestamp(dst []byte, s string) (_ []byte, detail string) {
	const want = "a time such as 2025-01-31T12:00:00Z is expected"
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return dst, want
	}
	if secs := t.Unix(); secs < minTimestamp || secs > maxTimestamp {
		return dst, "the time is out of range"
	}
	// Not more than nanoseconds.
	i, j := strings.LastIndexByte(s, '.'), strings.LastIndexAny(s, "Z-+")
	if i >= 0 && j >= i && j-i > len(".999999999") {
		return dst, want
	}
	return appendSeconds(dst, t.Unix(), int64(t.Nanosecond())), ""
}

// appendSeconds appends seconds and nanoseconds, as Timestamp and Duration have them.
func appendSeconds(dst []byte, seconds, nanos int64) []byte {
	if seconds != 0 {
		dst = protowire.AppendVarint(append(dst, 1<<3), uint64(seconds))
	}
	if nanos != 0 {
		dst = protowire.AppendVarint(append(dst, 2<<3), uint64(nanos))
	}
	return dst
}

const (
	minTimestamp = -62135596800
	maxTimestamp = 253402300799
	maxDuration  = 315576000000
)

// appendDuration appends the fields of a Duration, written as 1.5s.
func appendDuration(dst, s []byte) (_ []byte, detail string) {
	const want = "a duration in seconds such as 1.5s is expected"
	text, ok := bytes.CutSuffix(s, []byte("s"))
	if !ok || len(text) == 0 {
		return dst, want
	}
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	if len(text) == 0 || len(fraction) > 9 || len(whole) > 1 && whole[0] == '0' || !allDigits(whole) || !allDigits(fraction) {
		return dst, want
	}
	var seconds, nanos int64
	if len(whole) > 0 {
		v, err := strconv.ParseInt(string(whole), 10, 64)
		if err != nil {
			return dst, want
		}
		seconds = v
	}
	for i := range 9 {
		nanos *= 10
		if i < len(fraction) {
			nanos += int64(fraction[i] - '0')
		}
	}
	if seconds > maxDuration {
		return dst, "the duration is out of range"
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	return appendSeconds(dst, seconds, nanos), ""
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// appendFieldMask appends the paths of a FieldMask, which JSON has in one string
// and in lower camel case: "name,price.amount".
func appendFieldMask(dst, s []byte) (_ []byte, detail string) {
	s = []byte(strings.TrimSpace(string(s)))
	if len(s) == 0 {
		return dst, ""
	}
	for path := range bytes.SplitSeq(s, []byte(",")) {
		snake := make([]byte, 0, len(path)+8)
		for _, c := range path {
			if 'A' <= c && c <= 'Z' {
				snake = append(snake, '_', c|0x20)
			} else {
				snake = append(snake, c)
			}
		}
		if bytes.IndexByte(path, '_') >= 0 || !validPath(snake) {
			return dst, "a list of fields such as name,price.amount is expected"
		}
		dst = protowire.AppendBytes(append(dst, 1<<3|2), snake)
	}
	return dst, ""
}

// validPath reports whether b is a dotted list of identifiers.
func validPath(b []byte) bool {
	start := true
	for _, c := range b {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		switch {
		case start && !letter:
			return false
		case c == '.':
			start = true
			continue
		case !letter && (c < '0' || c > '9'):
			return false
		}
		start = false
	}
	return !start
}

// foreign leaves a message to protojson.
func (d *decoder) foreign(m *shape) *FieldError {
	d.space()
	from := d.at
	if err := d.skip(d.depth); err != nil {
		return err
	}
	msg := dynamicpb.NewMessage(m.desc)
	o := protojson.UnmarshalOptions{DiscardUnknown: d.codec.options.IgnoreUnknown, Resolver: d.codec.schema, RecursionLimit: max(d.depth, 1)}
	if err := o.Unmarshal(d.in[from:d.at], msg); err != nil {
		return flaw("is no valid " + string(m.desc.FullName()))
	}
	out, err := proto.MarshalOptions{AllowPartial: true}.MarshalAppend(d.out, msg)
	if err != nil || len(out) > math.MaxInt32 {
		return flaw("is no valid " + string(m.desc.FullName()))
	}
	d.out = out
	return nil
}
