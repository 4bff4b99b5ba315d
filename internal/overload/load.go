package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// serve is the service: so many workers, which serve in turn. A stubborn one works also
// for clients that have gone; the other one leaves them out.
func serve(stubborn bool) error {
	type job struct {
		ctx  context.Context
		done chan struct{}
	}
	jobs := make(chan job, 1<<20)
	for range workers {
		go func() {
			for j := range jobs {
				if stubborn || j.ctx.Err() == nil {
					time.Sleep(work)
				}
				close(j.done)
			}
		}()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j := job{r.Context(), make(chan struct{})}
		jobs <- j
		select {
		case <-j.done:
			io.WriteString(w, "ok")
		case <-j.ctx.Done():
		}
	}))
}

// attack sends so many requests a second, whatever becomes of them.
func attack(url string, rate float64, first, length time.Duration) point {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConns: 10000, MaxIdleConnsPerHost: 10000}}
	defer client.CloseIdleConnections()
	var early, rest outcomes
	var all sync.WaitGroup
	begin := time.Now()
	for i := 0; ; i++ {
		at := time.Duration(float64(i) / rate * float64(time.Second))
		if at > first+length {
			break
		}
		time.Sleep(at - time.Since(begin))
		o := &rest
		if at < first {
			o = &early
		}
		all.Go(func() { o.ask(client, url) })
	}
	all.Wait()
	return point{early.per(first), rest.per(length)}
}

// outcomes counts what becomes of requests.
type outcomes struct{ good, late, refused atomic.Int64 }

func (o *outcomes) ask(client *http.Client, url string) {
	r, err := client.Get(url)
	if err != nil {
		o.late.Add(1)
		return
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	if r.StatusCode == http.StatusOK {
		o.good.Add(1)
	} else {
		o.refused.Add(1)
	}
}

func (o *outcomes) per(d time.Duration) result {
	s := max(d, 1).Seconds()
	return result{float64(o.good.Load()) / s, float64(o.late.Load()) / s, float64(o.refused.Load()) / s}
}

func awaitPort(port int) error {
	for range 100 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return c.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the gateway doesn't listen at port %d", port)
}
