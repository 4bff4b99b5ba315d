package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// table is routes of hosts with a hundred paths each: half of them with a parameter, a fifth with a policy.
func table(n, generation int) string {
	var b strings.Builder
	b.WriteString("routes:\n")
	for i := range n {
		path := fmt.Sprintf("/items/%d", i%100)
		if i%2 == 1 {
			path = fmt.Sprintf("/kinds/%d/{id}", i%100)
		}
		extra := ""
		if i%5 == 0 {
			extra = ", headers: { response: { set: { X-Tenant: '{request.host}' } } }"
		}
		fmt.Fprintf(&b, "  - { match: 'GET tenant-%d.example.com%s', answer: { body: '%d of %d' }%s }\n", i/100, path, i, generation, extra)
	}
	return b.String()
}

// measureRoutes compares a gateway with one route and one with many, and reloads the table ten times.
func measureRoutes(ctx context.Context, o options, dir string, w io.Writer) (r result, err error) {
	r.kind = "routes"
	one, err := prepare(o, dir, table(1, 0))
	if err == nil {
		err = one.start()
	}
	if err != nil {
		return r, err
	}
	r.before, err = one.resident(ctx)
	one.kill()
	if err != nil {
		return r, err
	}
	g, err := prepare(o, dir, table(o.routes, 0))
	if err == nil {
		err = g.start()
	}
	if err != nil {
		return r, err
	}
	defer g.kill()
	if r.with, err = g.resident(ctx); err != nil {
		return r, err
	}
	r.each = (r.with - r.before) / int64(o.routes)
	if err := g.askRoutes(o.routes, 0); err != nil {
		return r, err
	}
	const reloads = 10
	began := time.Now()
	for n := 1; n <= reloads; n++ {
		if err := g.write(table(o.routes, n)); err != nil {
			return r, err
		}
		if _, err := g.ask(ctx, "POST", "/api/reload"); err != nil {
			return r, err
		}
		if err := g.askRoutes(o.routes, n); err != nil {
			return r, err
		}
	}
	took := time.Since(began) / reloads
	after, err := g.resident(ctx)
	if err != nil {
		return r, err
	}
	fmt.Fprintf(w, "\n| | 1 route | %d routes | each | after %d reloads | to the start | a reload |\n|---|--:|--:|--:|--:|--:|--:|\n", o.routes, reloads)
	fmt.Fprintf(w, "| memory | %.1f MiB | %.1f MiB | %.1f KiB | %.1f MiB | %.2f s | %.2f s |\n",
		mib(r.before), mib(r.with), float64(r.each)/1024, mib(after), g.ready.Sub(g.began).Seconds(), took.Seconds())
	return r, nil
}

// askRoutes asks some routes, which must be those of a generation.
func (g *gateway) askRoutes(n, generation int) error {
	for range 50 {
		i := rand.IntN(n)
		path := fmt.Sprintf("/items/%d", i%100)
		if i%2 == 1 {
			path = fmt.Sprintf("/kinds/%d/some", i%100)
		}
		req, err := http.NewRequest("GET", "http://"+g.web+path, nil)
		if err != nil {
			return err
		}
		req.Host = fmt.Sprintf("tenant-%d.example.com", i/100)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if want := fmt.Sprintf("%d of %d", i, generation); err != nil || string(b) != want {
			return fmt.Errorf("route %d: %q, %w", i, b, err)
		}
	}
	return nil
}
