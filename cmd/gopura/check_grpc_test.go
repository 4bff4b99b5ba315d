package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The message of a part that calls a method is held against what the .proto file
// says: each field that is written out, in lists and either branch too, at its
// place. Maps have any key, and what may hold anything holds it.
func TestCheckFindsFieldsThatMessagesDoNotHave(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"shop.proto": `syntax = "proto3";
package shop.v1;
import "google/protobuf/struct.proto";
service Shop { rpc Find(Query) returns (Query); }
message Query {
  string product_id = 1;
  Query inner = 2;
  repeated Query others = 3;
  map<string, Query> by = 4;
  google.protobuf.Struct any = 5;
}
`,
		"gopura.yaml": `listen: :8080
services:
  shop: { targets: "grpc://127.0.0.1:1", grpc: { proto: [shop.proto] } }
routes:
  - match: GET /{id}
    compose:
      fine: 'shop shop.v1.Shop/Find {product_id: path.id, inner: {productId: "x"}, by: {"any key": {inner: {}}}, any: {x: {y: 1}}}'
      misspelt: 'shop shop.v1.Shop/Find {product_jd: path.id}'
      nested: 'shop shop.v1.Shop/Find {inner: {others: [{productId: fine.productId}, {inner: {colour: 1}}]}}'
      in_map: 'shop shop.v1.Shop/Find {by: {a: {colour: 1}}}'
      branch: 'shop shop.v1.Shop/Find path.id == "1" ? {} : {colour: 1}'
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	var out, errs bytes.Buffer
	code := Main([]string{"check"}, &out, &errs)
	var got []string
	for line := range strings.SplitSeq(out.String()+errs.String(), "\n") {
		if strings.Contains(line, ": error: ") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"gopura.yaml:8:42: error: routes[0].compose.misspelt.call: the message has no field product_jd",
		"gopura.yaml:9:95: error: routes[0].compose.nested.call: the message has no field inner.others.inner.colour",
		"gopura.yaml:10:49: error: routes[0].compose.in_map.call: the message has no field by.a.colour",
		"gopura.yaml:11:62: error: routes[0].compose.branch.call: the message has no field colour",
	}
	if text := strings.Join(got, "\n"); code != 1 || text != strings.Join(want, "\n") {
		t.Errorf("exit %d:\n%s\nwant:\n%s", code, text, strings.Join(want, "\n"))
	}
}
