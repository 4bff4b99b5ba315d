// Command byhand is one answer from many services as it is written by hand: a
// goroutine and a request of net/http for each part, and encoding/json. The
// benchmarks measure composed routes beside it.
//
//	byhand 127.0.0.1:8080 http://127.0.0.1:9000 3 decoded
//	byhand @FILE decoded      the first three words are in a file
//
// It asks the origin for /0/1k.json, /1/1k.json, … at the same time; for GET /slow
// the last part is /sleep/5ms. The last word
// is decoded (parts are decoded into Go values, as most programs do) or raw
// (parts are kept as json.RawMessage, which checks and compacts them).
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "byhand:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && strings.HasPrefix(args[0], "@") {
		text, err := os.ReadFile(args[0][1:])
		if err != nil {
			return err
		}
		args = append(strings.Fields(string(text)), args[1])
	}
	if len(args) != 4 || args[3] != "decoded" && args[3] != "raw" {
		return fmt.Errorf("byhand ADDRESS ORIGIN PARTS decoded|raw")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil || n < 1 || n > 64 {
		return fmt.Errorf("%q parts: 1 to 64", args[2])
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 1024
	a := &aggregator{client: &http.Client{Transport: transport, Timeout: 10 * time.Second}, raw: args[3] == "raw"}
	for i := range n {
		a.names = append(a.names, fmt.Sprintf("part%d", i))
		a.urls = append(a.urls, fmt.Sprintf("%s/%d/1k.json", args[1], i))
	}
	a.slow = append(slices.Clone(a.urls[:n-1]), args[1]+"/sleep/5ms")
	s := &http.Server{Addr: args[0], Handler: a, ReadHeaderTimeout: 5 * time.Second}
	return s.ListenAndServe()
}

type aggregator struct {
	client *http.Client
	names  []string
	urls   []string
	slow   []string
	raw    bool
}

// ServeHTTP implements http.Handler.
func (a *aggregator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	urls := a.urls
	if r.URL.Path == "/slow" {
		urls = a.slow
	}
	parts, errs := make([]any, len(urls)), make([]error, len(urls))
	var all sync.WaitGroup
	for i := range urls {
		all.Go(func() { parts[i], errs[i] = a.fetch(r, urls[i]) })
	}
	all.Wait()
	answer := make(map[string]any, len(parts))
	for i, p := range parts {
		if errs[i] != nil {
			http.Error(w, a.names[i]+": "+errs[i].Error(), http.StatusBadGateway)
			return
		}
		answer[a.names[i]] = p
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

const maxPart = 4 << 20

func (a *aggregator) fetch(r *http.Request, url string) (any, error) {
	req, err := http.NewRequestWithContext(r.Context(), "GET", url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	if resp.ContentLength == 0 {
		return nil, nil
	}
	if a.raw {
		var v json.RawMessage
		err = json.NewDecoder(io.LimitReader(resp.Body, maxPart)).Decode(&v)
		return v, err
	}
	var v any
	err = json.NewDecoder(io.LimitReader(resp.Body, maxPart)).Decode(&v)
	return v, err
}
