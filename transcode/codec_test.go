package transcode

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// testSchema compiles files of testdata.
func testSchema(t testing.TB, files ...string) *Schema {
	t.Helper()
	for i := range files {
		files[i] = "testdata/" + files[i]
	}
	set, _, err := Compile(context.Background(), files, []string{"testdata"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSchema(set)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func messageOf(t testing.TB, s *Schema, name string) Message {
	t.Helper()
	m, err := s.Message(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// samples are JSON values of kinds.v1.Kinds, good and bad.
var samples = []string{
	`{}`, ` { "i32" : 1 } `, `{"i32":-2147483648,"i64":"-9223372036854775808","u32":4294967295,"u64":"18446744073709551615"}`,
	`{"s32":-5,"s64":"-5","f32":7,"f64":"7","sf32":-9,"sf64":"-9"}`, `{"i32":1.0,"i64":1e3,"u32":"5","u64":30e-1,"s32":"-1.50e1"}`,
	`{"i32":2147483648}`, `{"u32":-1}`, `{"i64":9223372036854775808}`, `{"i32":1.5}`, `{"i32":" 1"}`, `{"i32":true}`, `{"i32":-0}`,
	`{"real":1.5,"wide":-2.5e300}`, `{"real":"NaN","wide":"-Infinity"}`, `{"real":3.5e38}`, `{"real":"1.5","wide":-0.0}`, `{"wide":1e-7,"real":1e21}`,
	`{"yes":true}`, `{"yes":"true"}`, `{"yes":null,"text":null,"selves":null,"labels":null,"self":null}`,
	`{"text":"a\"b\\c\/\b\f\n\r\t\u00e9\ud83d\ude00 é😀"}`, `{"text":"\ud83d"}`, "{\"text\":\"\xff\"}", "{\"text\":\"\x01\"}", `{"text":"\x"}`, `{"text":"`,
	`{"data":"AQID"}`, `{"data":"_-8="}`, `{"data":"_-8"}`, `{"data":"+/8="}`, `{"data":"AQ"}`, `{"data":"A"}`, `{"data":"AQ\nID"}`,
	`{"color":"RED"}`, `{"color":-2}`, `{"color":77}`, `{"color":"BLUE"}`, `{"colors":["RED",0,"GREEN"]}`,
	`{"self":{"self":{"self":{"i32":1,"text":"deep"}}}}`, `{"maybe":0,"perhaps":""}`, `{"maybe_text":"x"}`, `{"maybeText":"x"}`,
	`{"i32s":[1,2,3],"texts":["a","","b"],"selves":[{},{"i32":1}],"wides":[1,2.5,"NaN"],"datas":["","AQ=="],"s64s":["-1",1],"yeses":[true,false]}`,
	`{"i32s":[]}`, `{"i32s":[1,]}`, `{"i32s":[null]}`, `{"i32s":1}`, `{"selves":[null]}`, `{"texts":["a" "b"]}`,
	`{"labels":{"a":"1","b":"","":"x"}}`, `{"labels":{"a":"1","a":"2"}}`, `{"byNumber":{"1":{"text":"x"},"-2":{}}}`, `{"byNumber":{"x":{}}}`, `{"by_truth":{"true":"RED","false":1}}`,
	`{"byU64":{"18446744073709551615":"AQ==","0":""},"byS32":{"-1":1.5,"+1":2}}`, `{"byNumber":{"1":{},"01":{}}}`, `{"values":{"a":null,"b":[1,"x",{"y":true}]}}`,
	`{"pickNumber":0}`, `{"pickText":"a"}`, `{"pickNumber":1,"pickText":"a"}`, `{"pickSelf":{"pickSelf":{}}}`, `{"pickNull":null}`, `{"pickNull":"NULL_VALUE"}`, `{"pickValue":null}`, `{"pickNumber":null,"pickText":"a"}`,
	`{"at":"2024-02-29T12:34:56.789Z"}`, `{"at":"2024-02-29T12:34:56+05:30"}`, `{"at":"0001-01-01T00:00:00Z"}`, `{"at":"9999-12-31T23:59:59.999999999Z"}`, `{"at":"2024-02-30T00:00:00Z"}`, `{"at":"2024-02-29T12:34:56.1234567890Z"}`, `{"at":1}`, `{"at":"1969-12-31T23:59:59.5Z"}`,
	`{"took":"1.5s"}`, `{"took":"-0.000000001s"}`, `{"took":"315576000000s"}`, `{"took":"315576000001s"}`, `{"took":"1"}`, `{"took":"+.5s"}`, `{"took":"1.s"}`, `{"took":"01s"}`, `{"took":"s"}`, `{"took":"-s"}`, `{"took":".s"}`, `{"took":"1.0000000001s"}`,
	`{"mask":"i32,self.maybeText"}`, `{"mask":""}`, `{"mask":"a_b"}`, `{"mask":"a,,b"}`, `{"mask":" a "}`, `{"mask":"a..b"}`,
	`{"object":{"a":1,"b":{"c":[null,true,"x"]}},"anything":{"x":[]},"array":[1,[2],{"z":null}]}`, `{"anything":null}`, `{"anything":"NaN"}`, `{"anything":1e999}`, `{"object":null}`, `{"object":[]}`,
	`{"any":{"@type":"type.googleapis.com/kinds.v1.Kinds","i32":1}}`, `{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}`, `{"any":{"@type":"x/unknown"}}`, `{"any":{}}`, `{"any":{"i32":1}}`,
	`{"empty":{}}`, `{"empty":{"a":1}}`, `{"stringValue":"x","int64Value":"5","boolValue":false,"bytesValue":"AQ==","doubleValue":"NaN","floatValue":0,"uint32Value":0}`, `{"stringValue":null}`, `{"numbers":[1,null]}`, `{"numbers":[0,1]}`,
	`{"nullValue":null}`, `{"nulls":[null,"NULL_VALUE",0]}`, `{"anythings":[null,1]}`, `{"times":["2024-01-01T00:00:00Z"]}`, `{"farAway":1}`,
	`{"i32":1,"i32":2}`, `{"maybe_text":"a","perhaps":"b"}`, `{"nope":1}`, `{"nope":{"a":[1,2,{"b":null}]},"i32":1}`, `{"i32":1}x`, `{"i32":1`, ``, `null`, `[]`, `"x"`, `{"i32"}`, `{"i32":}`, `{,}`, `{"i32":01}`, `{"i32":1.}`, `{"wide":.5}`, `{"wide":1e}`, `{"wide":-}`,
	`{"i32":nul}`, `{"yes":truex}`, `{"i32":1,}`, `{"[x]":1}`, "\ufeff{}", `{"i32":0x1}`, `{"u64":1e19}`, `{"u64":1e20}`, `{"i64":0e999999999999}`, `{"i32":1e-1}`, `{"i32":100e-2}`, `{"i32":"1e"}`,
}

// agree holds what the codec makes of JSON against what protojson makes of it.
func agree(t *testing.T, c *Codec, m Message, in []byte) {
	t.Helper()
	want := dynamicpb.NewMessage(m.desc)
	o := protojson.UnmarshalOptions{DiscardUnknown: c.options.IgnoreUnknown, Resolver: c.schema}
	wantErr := o.Unmarshal(in, want)
	wire, err := c.AppendWire(nil, m, in)
	if (err == nil) != (wantErr == nil) {
		if err != nil && (strings.Contains(err.Error(), "nested deeper") || strings.Contains(err.Error(), "is no valid") || strings.Contains(err.Error(), "than allowed")) {
			return // bounds that protojson does not have
		}
		if err != nil && !json.Valid(in) {
			return // such as the number 10e
		}
		t.Fatalf("%s: %q\ncodec:     %v\nprotojson: %v", m.desc.FullName(), in, err, wantErr)
	}
	if err != nil {
		return
	}
	got := dynamicpb.NewMessage(m.desc)
	if err := (proto.UnmarshalOptions{Resolver: c.schema}).Unmarshal(wire, got); err != nil {
		t.Fatalf("%q: the codec wrote %x: %v", in, wire, err)
	}
	if !proto.Equal(got, want) {
		t.Fatalf("%q:\ncodec:     %v\nprotojson: %v", in, got, want)
	}
	agreeBack(t, c, m, wire)
}

// readable reports whether the library takes a message; it panics at some.
func readable(c *Codec, msg proto.Message, wire []byte) (ok bool) {
	defer func() { _ = recover() }()
	return (proto.UnmarshalOptions{Resolver: c.schema, AllowPartial: true}).Unmarshal(wire, msg) == nil
}

// agreeBack holds what the codec makes of a message against what protojson makes of it.
func agreeBack(t *testing.T, c *Codec, m Message, wire []byte) {
	t.Helper()
	msg := dynamicpb.NewMessage(m.desc)
	if !readable(c, msg, wire) {
		_, _ = c.AppendJSON(nil, m, wire) // must not panic
		return
	}
	want, wantErr := protojson.MarshalOptions{
		AllowPartial: true, UseProtoNames: c.options.ProtoNames, UseEnumNumbers: c.options.EnumNumbers, EmitDefaultValues: c.options.Defaults, Resolver: c.schema,
	}.Marshal(msg)
	got, err := c.AppendJSON(nil, m, wire)
	if (err == nil) != (wantErr == nil) {
		if errors.Is(err, errDepth) {
			return
		}
		t.Fatalf("%x:\ncodec:     %s %v\nprotojson: %s %v", wire, got, err, want, wantErr)
	}
	if err != nil {
		return
	}
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%x: the codec wrote %s: %v", wire, got, err)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("%x:\ncodec:     %s\nprotojson: %s", wire, got, want)
	}
}

func codecs(s *Schema) []*Codec {
	return []*Codec{
		NewCodec(s, JSONOptions{}, Limits{}),
		NewCodec(s, JSONOptions{ProtoNames: true, Defaults: true, EnumNumbers: true, IgnoreUnknown: true}, Limits{}),
	}
}

func TestCodecAgreesWithProtojson(t *testing.T) {
	s := testSchema(t, "kinds.proto", "old.proto")
	for _, c := range codecs(s) {
		for _, in := range samples {
			agree(t, c, messageOf(t, s, "kinds.v1.Kinds"), []byte(in))
		}
		for _, in := range []string{
			`{"name":"a"}`, `{}`, `{"name":"a","count":7,"list":[1,2],"inner":{"name":"b"}}`, `{"name":"a","inner":{}}`, `{"name":null}`,
			`{"name":"a","open":{"[old.v1.comment]":"x"}}`, `{"name":"a","open":{"[old.v1.nothing]":"x"}}`, `{"name":"a","inner":{"name":"b","extra":{"word":"w"}}}`,
		} {
			agree(t, c, messageOf(t, s, "old.v1.Strict"), []byte(in))
			agree(t, c, messageOf(t, s, "old.v1.Old"), []byte(in))
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, in := range samples {
		f.Add([]byte(in), false)
	}
	s := testSchema(f, "kinds.proto")
	m := messageOf(f, s, "kinds.v1.Kinds")
	list := codecs(s)
	f.Fuzz(func(t *testing.T, in []byte, other bool) {
		c := list[0]
		if other {
			c = list[1]
		}
		agree(t, c, m, in)
	})
}

func FuzzWire(f *testing.F) {
	s := testSchema(f, "kinds.proto")
	m := messageOf(f, s, "kinds.v1.Kinds")
	list := codecs(s)
	for _, in := range samples {
		if wire, err := list[0].AppendWire(nil, m, []byte(in)); err == nil {
			f.Add(wire, false)
			f.Add(append(wire, wire...), true)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, other bool) {
		c := list[0]
		if other {
			c = list[1]
		}
		agreeBack(t, c, m, in)
	})
}

// The place of a flaw is told, and its value is not.
func TestFlaws(t *testing.T) {
	s := testSchema(t, "kinds.proto")
	c := NewCodec(s, JSONOptions{}, Limits{Depth: 8, Items: 4})
	m := messageOf(t, s, "kinds.v1.Kinds")
	for in, want := range map[string]string{
		`{"selves":[{},{},{"wide":"secret"}]}`:                          "selves[2].wide: a number that fits a double is expected",
		`{"byNumber":{"7":{"i32":"x"}}}`:                                "byNumber[7].i32: a whole number that fits an int32 is expected",
		`{"self":{"nope":1}}`:                                           "self.nope: there is no such field",
		`{"i32":1,"i32":2}`:                                             "i32: is there twice",
		`{"pickNumber":1,"pickText":"a"}`:                               "pickText: only one of its group may be set",
		`{"i32s":[1,2,3,4,5]}`:                                          "i32s: has more elements than allowed",
		`{"labels":{"a":"","b":"","c":"","d":"","e":""}}`:               "labels: has more entries than allowed",
		strings.Repeat(`{"self":`, 20) + "{}" + strings.Repeat("}", 20): "self.self.self.self.self.self.self.self: is nested deeper than allowed",
		`{"at":"yesterday"}`:                                            "at: a time such as 2025-01-31T12:00:00Z is expected",
		`[]`:                                                            "an object is expected",
		`{"color":"BLUE"}`:                                              "color: the enum has no such name",
		`{} {}`:                                                         "there is something behind the value",
	} {
		if _, err := c.AppendWire(nil, m, []byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", in, err, want)
		}
	}
	_, err := c.AppendWire(nil, m, []byte(`{"selves":[{},{"labels":{"a/b":1}}]}`))
	var fe *FieldError
	if !errors.As(err, &fe) || fe.pointer() != "#/selves/1/labels/a~1b" {
		t.Errorf("pointer of %v: %s", err, fe.pointer())
	}
}
