package gateway_test

import (
	"net"
	"slices"
	"strings"
	"testing"
)

// BenchmarkNobodyLooking is what all that shows and explains costs a plain proxied
// request while nobody looks: the gateway as it comes, with an admin listener, its
// console, series, debug tokens and traces that are passed on and sampled by 0 %,
// beside the same gateway without any of it. Both are asked in short turns, in
// alternating order, and the CPU time of the process is counted. cost-% is the
// median of the turns' differences in percent of the median turn without; it has
// to stay below 3.
//
// BenchmarkNobodyLooking/admin is the admin listener alone, /traces also has a
// collector, with spans that are recorded because it is not known yet how a
// request ends.
func BenchmarkNobodyLooking(b *testing.B) {
	const admin = "admin: 127.0.0.1:0\n"
	for _, k := range []struct{ name, more string }{
		{"admin", admin},
		{"unsampled", admin + "traces: { to: 'http://127.0.0.1:1', sample: 0%, errors: false, slow: off }\n"},
		{"recorded", admin + "traces: { to: 'http://127.0.0.1:1', sample: 0% }\n"},
		{"same", ""}, // how much is noise
	} {
		b.Run(k.name, func(b *testing.B) {
			without := dial(b, start(b, plainConfig+"traces: off\n"))
			more := k.more
			if !strings.Contains(more, "traces:") {
				more += "traces: off\n"
			}
			with := dial(b, start(b, plainConfig+more))
			request := []byte("GET /1k HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
			buf := make([]byte, 4096)
			const turn = 100
			run := func(c net.Conn) float64 {
				before := spent(b)
				for range turn {
					get1k(b, c, request, buf)
				}
				return float64(spent(b)-before) / turn
			}
			for range 20 {
				run(without)
				run(with)
			}
			var base, extra []float64
			for i := 0; b.Loop(); i++ { // an iteration is a turn of each
				var p, c float64
				if i%2 == 0 {
					p, c = run(without), run(with)
				} else {
					c, p = run(with), run(without)
				}
				base, extra = append(base, p), append(extra, c-p)
			}
			slices.Sort(base)
			slices.Sort(extra)
			plain, cost := base[len(base)/2], extra[len(extra)/2]
			b.ReportMetric(plain, "without-ns/op")
			b.ReportMetric(cost, "cost-ns/op")
			b.ReportMetric(100*cost/plain, "cost-%")
		})
	}
}
