package h2

import (
	"bufio"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// BenchmarkServe measures a GET of 1 KB over one cleartext connection with 64
// streams in flight: the client's side writes ready-made frames and only counts
// the ends of streams. ns-cpu/op is the CPU time of the whole process.
func BenchmarkServe(b *testing.B) {
	payload := make([]byte, 1<<10)
	b.Run("exchange", func(b *testing.B) {
		f := start(b, Config{}, func(x *exchange.Exchange) {
			x.Response.Status = 200
			x.Response.Header.Add("Content-Type", "text/plain")
			x.Response.Header.Add("Cache-Control", "no-store")
			x.Response.Body = exchange.BytesBody(payload)
		})
		blast(b, f)
	})
}

func blast(b *testing.B, f *front) {
	const inFlight = 64
	w := dial(b, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	w.conn.SetDeadline(time.Time{})
	w.WriteWindowUpdate(0, 1<<30)
	// The same block again and again: it only adds to the table.
	block := append([]byte(nil), w.encode("user-agent: bench", "accept: */*", "x-request-id: 12345")...)
	slots := make(chan struct{}, inFlight)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	var wg sync.WaitGroup
	wg.Go(func() {
		got, r := int64(0), bufio.NewReaderSize(w.conn, 64<<10)
		for ended := 0; ended < b.N; {
			h, err := http2.ReadFrameHeader(r)
			if err != nil {
				b.Error(err)
				return
			}
			r.Discard(int(h.Length))
			if h.Type == http2.FrameData {
				if got += int64(h.Length); got > 1<<29 {
					panic(fmt.Sprint("window used up after ", ended))
				}
				if h.Flags.Has(http2.FlagDataEndStream) {
					ended++
					<-slots
				}
			}
		}
	})
	for i := range b.N {
		slots <- struct{}{}
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndHeaders: true, EndStream: true})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "ns-cpu/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
