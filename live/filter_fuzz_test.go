package live_test

import (
	"net/url"
	"testing"

	"gopura/live"
)

// FuzzFilter: whatever a query says, there is a filter that can be asked, or an error.
func FuzzFilter(f *testing.F) {
	for _, q := range []string{"", "status=5xx", "status=404&path=/a", "slower=1h&sample=0.5", "client=::1&identity=a", "status=xx", "sample=1e309"} {
		f.Add(q)
	}
	x := ended("/users/1", "192.0.2.1", 404)
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := live.Parse(q.Get)
		if err != nil {
			return
		}
		var room live.Room
		tail, err := room.Open(noon, filter)
		if err != nil {
			t.Fatal(err)
		}
		room.Saw(x, noon)
		room.Latest(noon, 1, filter)
		tail.Close()
	})
}
