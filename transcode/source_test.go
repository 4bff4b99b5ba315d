package transcode

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopura/exchange"
)

// What nearly everybody imports needs no file.
func TestKnownImports(t *testing.T) {
	s, err := ParseProto("trip.proto", `syntax = "proto3";
package trip;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/timestamp.proto";
import "google/rpc/status.proto";
import "google/rpc/error_details.proto";
import "google/type/date.proto";
import "google/type/interval.proto";
import "google/type/latlng.proto";
import "google/type/money.proto";
import "google/type/postal_address.proto";
message Trip { google.type.Money fare = 1; google.type.Date on = 2; google.type.LatLng from = 3; google.type.Interval window = 4; google.type.PostalAddress to = 5; google.rpc.Status last = 6; }
service Trips { rpc Book(Trip) returns (Trip) { option (google.api.http) = { post: "/v1/trips" body: "*" }; } }`)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Message("trip.Trip")
	if err != nil {
		t.Fatal(err)
	}
	c := NewCodec(s, JSONOptions{}, DefaultLimits)
	text := `{"fare":{"currencyCode":"INR","units":"5","nanos":500000000},"on":{"year":2025,"month":1,"day":31},"from":{"latitude":11.7,"longitude":92.5},"last":{"code":5,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}]}}`
	wire, err := c.AppendWire(nil, m, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.AppendJSON(nil, m, wire)
	// Within an Any, protojson puts spaces as it likes.
	if err != nil || strings.ReplaceAll(string(back), ", ", ",") != text {
		t.Errorf("%s %v", back, err)
	}
}

// A service that offers reflection, in either version, needs no files.
func TestReflection(t *testing.T) {
	for _, version := range []string{"v1", "v1alpha"} {
		s := startShop(t, version)
		set, err := Reflect(t.Context(), s.transport(), "catalog")
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		schema, err := NewSchema(set)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(schema.Services(), " "); got != "shop.v1.Catalog shop.v1.Mirror" {
			t.Errorf("services: %s", got)
		}
		h := s.handler(Options{Source: Fixed(schema)})
		if a := ask(t, h, "GET /v1/products/1", ""); a.Status != 200 {
			t.Errorf("%d %+v", a.Status, a.Err)
		}
	}
	s := startShop(t, "")
	if _, err := Reflect(t.Context(), s.transport(), "catalog"); err == nil || !strings.Contains(err.Error(), "does not offer server reflection") {
		t.Errorf("none: %v", err)
	}
}

// A service that is not there yet is asked until it is; one that goes away keeps
// what was known of it.
func TestWatch(t *testing.T) {
	s := startShop(t, "v1")
	real := s.transport()
	var up atomic.Bool
	failed := make(chan error, 1)
	changed := make(chan *Schema, 8)
	src := Watch(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		if !up.Load() {
			return exchange.ConnectFailed.Because(nil)
		}
		return real.Serve(x)
	}), ReflectOptions{Authority: "catalog", Refresh: 20 * time.Millisecond, Changed: func(s *Schema) { changed <- s }, Failed: func(err error) { failed <- err }})
	defer src.Close()
	if err := <-failed; src.Schema() != nil || src.Fault() == nil {
		t.Errorf("known before it is there: %v", err)
	}
	up.Store(true)
	first := <-changed
	time.Sleep(100 * time.Millisecond) // several refreshes
	if src.Schema() != first || len(changed) > 0 {
		t.Error("a schema that says the same has taken the place of the first")
	}
	up.Store(false)
	<-failed
	if src.Schema() != first {
		t.Error("forgotten")
	}
}

// Answers to reflection are bounded, and none of them makes the gateway fail.
func TestHostileReflection(t *testing.T) {
	endless := exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Response.Status = 200
		x.Response.Header.Add("content-type", "application/grpc")
		x.Response.Body = &endlessBody{piece: AppendFrame(nil, []byte("\x32\x05\x0a\x03\x0a\x01x"))}
		return nil
	})
	if _, err := Reflect(t.Context(), endless, "x"); err == nil || !strings.Contains(err.Error(), "larger than allowed") {
		t.Errorf("endless: %v", err)
	}
}

type endlessBody struct{ piece []byte }

func (b *endlessBody) Next() ([]byte, error)     { return b.piece, nil }
func (b *endlessBody) Len() int64                { return -1 }
func (b *endlessBody) Trailer() *exchange.Header { return nil }
func (b *endlessBody) Close() error              { return nil }

// FuzzDescriptors: whatever a service says it is, it is refused or used.
func FuzzDescriptors(f *testing.F) {
	f.Add(googlePB)
	f.Add([]byte("\x0a\x07\x0a\x01a\x12\x02p."))
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := parseSet(b)
		if err != nil {
			return
		}
		s, err := NewSchema(set)
		if err != nil {
			return
		}
		h := New(Options{Source: Fixed(s)})
		h.Check()
	})
}

// Imports are found in the folders given, in the file's own, and in the bundle.
func TestCompile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := write("a/a.proto", `syntax = "proto3"; package a; import "b/b.proto"; import "near.proto"; import "google/rpc/status.proto"; message A { b.B b = 1; Near n = 2; google.rpc.Status s = 3; } service S { rpc Do(A) returns (A); }`)
	near := write("a/near.proto", `syntax = "proto3"; package a; message Near {}`)
	b := write("roots/b/b.proto", `syntax = "proto3"; package b; message B {}`)
	set, read, err := Compile(context.Background(), []string{a}, []string{filepath.Join(dir, "roots")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{a, near, b} {
		if !strings.Contains(strings.Join(read, " "), want) {
			t.Errorf("%s is not among the files read: %v", want, read)
		}
	}
	s, err := NewSchema(set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Method("a.S/Do"); err != nil {
		t.Error(err)
	}
	bad := write("bad.proto", "syntax = \"proto3\";\nmessage A {\n  Nope n = 1;\n}\n")
	if _, _, err := Compile(context.Background(), []string{bad}, nil); err == nil || !strings.Contains(err.Error(), "bad.proto:3:3") {
		t.Errorf("the place is missing: %v", err)
	}
	out := write("out.proto", `syntax = "proto3"; import "../a/near.proto";`)
	if _, _, err := Compile(context.Background(), []string{out}, []string{filepath.Join(dir, "roots")}); err == nil {
		t.Error("an import led out of the folders")
	}
}
