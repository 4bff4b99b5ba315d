package transcode

import "testing"

// What a query may set is described: times, wrappers and field masks, which are
// texts there, too; messages and maps, which no parameter sets, are not.
func TestDescribedQuery(t *testing.T) {
	s := testSchema(t, "shop.proto")
	d := &Describer{Schema: s, Messages: map[string]any{}}
	list, err := d.Describe("shop.v1.Mirror/Get", Rule{Method: "GET", Path: "/v1/{name}"})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	for field, there := range map[string]bool{"id": true, "at": true, "took": true, "maybe": true, "mask": true, "sub": false, "labels": false, "name": false} {
		if _, ok := list[0].Query[field]; ok != there {
			t.Errorf("%s: %v, want %v", field, ok, there)
		}
	}
}
