package transcode

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"gopura/exchange"
)

// Options of a method give few rules, each with a path, or an error.
func FuzzRule(f *testing.F) {
	rule := func(fields ...any) (b []byte) {
		for i := 0; i < len(fields); i += 2 {
			b = protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType)
			b = protowire.AppendString(b, fields[i+1].(string))
		}
		return b
	}
	f.Add(rule(2, "/v1/{name=messages/*}", 12, "a", 7, "*"))
	f.Add(rule(4, "/a", 11, string(rule(3, "/b")), 11, string(rule(8, string(rule(1, "LOCK", 2, "/c"))))))
	f.Add(rule(2, "/a", 11, string(rule(2, "/b", 11, string(rule(2, "/c"))))))
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := parseRule(nil, b, true)
		if err != nil {
			return
		}
		if len(rules) == 0 || len(rules) > maxBindings {
			t.Errorf("%d rules", len(rules))
		}
		for _, r := range rules {
			if r.Path == "" {
				t.Errorf("a rule without a path: %+v", r)
			}
		}
	})
}

// The details of a status are those that the message has when it is read by its
// own library.
func FuzzStatusDetails(f *testing.F) {
	f.Add([]byte("\x08\x05\x12\x01x\x1a\x06\x0a\x01a\x12\x01b"))
	f.Add([]byte("\x1a\x2e\x0a\x26/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x05"))
	f.Add([]byte("\x1a\x80\x80\x80\x80\x10"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.StdEncoding} {
			details := parseDetails([]byte(enc.EncodeToString(b)))
			s := Status{Details: details}
			if secs, ok := s.RetryAfter(); ok && (secs < 0 || secs > maxDuration) {
				t.Errorf("again after %d s", secs)
			}
			var std spb.Status
			if proto.Unmarshal(b, &std) != nil {
				continue
			}
			if len(details) != len(std.Details) {
				t.Fatalf("%d details, %d", len(details), len(std.Details))
			}
			for i, d := range details {
				if d.Type != std.Details[i].TypeUrl || !bytes.Equal(d.Value, std.Details[i].Value) {
					t.Errorf("%q %q, not %v", d.Type, d.Value, std.Details[i])
				}
			}
		}
	})
}

// A timeout of Connect is what the number says, and is told to the service as no less.
func FuzzConnectTimeout(f *testing.F) {
	for _, s := range []string{"0", "9999999999", "1e3", "-1", "00000000001", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseConnectTimeout([]byte(s))
		n, err := strconv.ParseUint(s, 10, 63)
		if want := err == nil && len(s) <= 10; ok != want || ok && d != time.Duration(n)*time.Millisecond {
			t.Errorf("%q is %v, %v", s, d, ok)
		}
		if again, _ := exchange.ParseGRPCTimeout(exchange.AppendGRPCTimeout(nil, d)); ok && again < d {
			t.Errorf("%v was told as %v", d, again)
		}
	})
}

// Lines are the same in however many pieces they come, and no buffer grows past the
// longest line that is allowed.
func FuzzLines(f *testing.F) {
	f.Add("{}\n\n  [1] \r\n2", 1)
	f.Add(strings.Repeat("x", 300)+"\n", 7)
	f.Add("\n\n\n", 2)
	f.Fuzz(func(t *testing.T, text string, size int) {
		const longest = 200
		size = max(1, size&1023)
		var want []string
		for _, line := range strings.Split(text, "\n") {
			if line = string(bytes.TrimSpace([]byte(line))); line != "" {
				want = append(want, line)
			}
		}
		r := lineReader{inner: &pieces{b: []byte(text), size: size}, max: longest}
		for i := 0; ; i++ {
			line, err := r.line()
			if len(r.buf) > longest+exchange.BufferSize+size {
				t.Fatalf("%d bytes are kept", len(r.buf))
			}
			switch {
			case err == errLongLine:
				return
			case err == io.EOF && i == len(want):
				return
			case err != nil || i >= len(want) || string(line) != want[i]:
				t.Fatalf("line %d is %q, %v", i, line, err)
			}
		}
	})
}

// Metadata has nothing that is about the message, and binary metadata is binary.
func FuzzMetadata(f *testing.F) {
	f.Add("X-A-Bin", "AAE=")
	f.Add("grpc-timeout", "1S")
	f.Add("-bin", "")
	f.Fuzz(func(t *testing.T, name, value string) {
		if !exchange.ValidName(name) || !exchange.ValidValue(value) {
			return
		}
		var from, to exchange.Header
		from.Add(name, value)
		if err := requestMetadata(&to, &from); err != nil {
			return
		}
		lower := strings.ToLower(name)
		for _, own := range []string{"grpc-", "content-", "proxy-", "sec-", "if-", "accept"} {
			if strings.HasPrefix(lower, own) && to.Len() > 0 {
				t.Errorf("%s is passed on", name)
			}
		}
		if len(name) > 4 && strings.HasSuffix(lower, "-bin") && to.Len() > 0 {
			if _, err := base64.StdEncoding.DecodeString(strings.TrimRight(value, "=") + strings.Repeat("=", (4-len(strings.TrimRight(value, "="))%4)%4)); err != nil {
				t.Errorf("%s: %q: %v", name, value, err)
			}
		}
	})
}

// A text of protobuf compiles, or says why not; nothing is opened for it.
func FuzzProto(f *testing.F) {
	for _, s := range []string{
		`syntax = "proto3"; package a; message M { string b = 1; repeated M m = 2; map<string, int64> n = 3; } service S { rpc Get(M) returns (stream M); }`,
		`syntax = "proto2"; message M { optional group G = 1 { } extensions 5 to max; } extend M { optional int32 x = 5; }`,
		`import "/etc/passwd"; enum E { A = 0; B = 0; }`, `edition = "2023"; message M { reserved 1 to max; }`, `syntax = "proto3"; import "google/api/annotations.proto"; message M { M m = 536870911; }`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2<<10 {
			return
		}
		s, err := ParseProto("a.proto", text)
		if err == nil && s == nil {
			t.Error("neither a schema nor an error")
		}
	})
}
