package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"gopura/internal/freeport"
)

// scene is what is asked of how many gateways.
type scene struct {
	title, about string
	rate, burst  int64
	gateways     int
	demand       func(at time.Duration) float64 // requests a second at each gateway
	top          int                            // of the picture's scale
}

// ticks a scene is counted in.
const (
	tick  = 20 * time.Millisecond
	ticks = int(length / tick)
)

// act is a scene that was played: what was asked and admitted at each gateway
// in each tick.
type act struct {
	scene
	asked, admitted [][]int
}

func (a *act) totals() (asked, admitted int) {
	for g := range a.asked {
		for i := range a.asked[g] {
			asked += a.asked[g][i]
			admitted += a.admitted[g][i]
		}
	}
	return asked, admitted
}

// exact is what one limiter, asked the same, admits.
func (a *act) exact() (sum int) {
	level := float64(a.burst)
	for i := range ticks {
		level = min(level+float64(a.rate)*tick.Seconds(), float64(a.burst))
		asked := 0
		for g := range a.asked {
			asked += a.asked[g][i]
		}
		n := min(asked, int(level))
		level -= float64(n)
		sum += n
	}
	return sum
}

// play starts what the scene needs and asks.
func (s scene) play(ctx context.Context, gopura string) (a act, err error) {
	dir, err := os.MkdirTemp("", "limitpicture-")
	if err != nil {
		return a, err
	}
	ctx, stop := context.WithCancel(ctx)
	var running []*exec.Cmd
	defer func() {
		stop()
		for _, c := range running {
			c.Wait()
		}
		os.RemoveAll(dir)
	}()
	spawn := func(name string, args ...string) error {
		c := exec.CommandContext(ctx, name, args...)
		c.Stderr = os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		running = append(running, c)
		return c.Start()
	}
	store := ""
	if s.gateways > 1 {
		port, err := freeport.Find()
		if err != nil {
			return a, err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if err := spawn("redis-server", "--save", "", "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", dir, "--loglevel", "warning"); err != nil {
			return a, err
		}
		store = "store: redis://" + address
		if err := await(address); err != nil {
			return a, err
		}
	}
	var urls []string
	for i := range s.gateways {
		port, err := freeport.Find()
		if err != nil {
			return a, err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		config := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		text := fmt.Sprintf("listen: %s\naccess_log: off\nlog: { level: error }\n%s\nroutes:\n  - { match: /, answer: 204, limit: { rate: %d/s, burst: %d, name: picture } }\n  - { match: /up, answer: 204 }\n",
			address, store, s.rate, s.burst)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return a, err
		}
		if err := spawn(gopura, "run", "-c", config); err != nil {
			return a, err
		}
		if err := await(address); err != nil {
			return a, err
		}
		urls = append(urls, "http://"+address)
	}
	return s.load(urls)
}

// load asks all gateways at once.
func (s scene) load(urls []string) (act, error) {
	a := act{scene: s}
	for range urls {
		a.asked, a.admitted = append(a.asked, make([]int, ticks)), append(a.admitted, make([]int, ticks))
	}
	errs := make(chan error, len(urls))
	begin := time.Now().Add(200 * time.Millisecond)
	for g, url := range urls {
		go func() { errs <- s.ask(begin, url, a.asked[g], a.admitted[g]) }()
	}
	for range urls {
		if err := <-errs; err != nil {
			return a, err
		}
	}
	return a, nil
}

// ask sends the requests of one gateway when they are due, whether or not
// earlier ones have been answered. A request counts as asked when it is sent,
// and as admitted when it is answered.
func (s scene) ask(begin time.Time, url string, asked, admitted []int) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for range 8 { // connections are there before the clock runs
		if _, err := status(client, url+"/up"); err != nil {
			return err
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	due := 0.0
	last := time.Duration(0)
	time.Sleep(time.Until(begin))
	for {
		at := time.Since(begin)
		if at >= length {
			break
		}
		due += s.demand(at) * (at - last).Seconds()
		last = at
		for ; due >= 1; due-- {
			all.Go(func() {
				code, err := status(client, url)
				mu.Lock()
				defer mu.Unlock()
				asked[int(at/tick)]++
				switch {
				case err != nil:
					failed = err
				case code == http.StatusNoContent:
					admitted[min(int(time.Since(begin)/tick), ticks-1)]++
				case code != http.StatusTooManyRequests:
					failed = fmt.Errorf("status %d", code)
				}
			})
		}
		time.Sleep(time.Millisecond)
	}
	all.Wait()
	return failed
}

func status(c *http.Client, url string) (int, error) {
	r, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return r.StatusCode, nil
}

// await waits until somebody listens.
func await(address string) error {
	var err error
	for range 500 {
		var c net.Conn
		if c, err = net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
