package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	eventsEach   = 20 // of a stream
	messagesEach = 10 // of a WebSocket
)

// kinds are all visitors. Shares add up to 1.
func (l *load) kinds() []*visitor {
	web, secure := "http://"+l.gateway.web, "https://"+l.gateway.secure
	c := &l.clients
	return []*visitor{
		{name: "h1-kept", share: .19, workers: 6, visit: l.echo(c.kept, web+"/echo/", 0)},
		{name: "h1-new", share: .07, workers: 4, visit: l.echo(c.fresh, web+"/echo/", 0)},
		{name: "h1-upload", share: .03, workers: 2, visit: l.echo(c.kept, web+"/echo/", 100_000)},
		{name: "h1-tls", share: .10, workers: 4, visit: l.echo(c.tls1, secure+"/echo/", 0)},
		{name: "h2", share: .20, workers: 8, visit: l.echo(c.h2, secure+"/echo/", 0)},
		{name: "h2-upload", share: .03, workers: 2, visit: l.echo(c.h2, secure+"/echo/", 100_000)},
		{name: "h2-changing", share: .05, workers: 2, visit: l.echo(c.h2, secure+"/changing/echo/", 10)},
		{name: "h3", share: .06, workers: 3, visit: l.over3(secure + "/echo/")},
		{name: "jwt", share: .06, workers: 2, visit: l.withToken(secure + "/me/")},
		{name: "limited", share: .06, workers: 2, visit: l.limited(web + "/limited/")},
		{name: "cached", share: .04, workers: 2, visit: l.cached(web + "/cached/")},
		{name: "composed", share: .03, workers: 2, visit: l.composed(secure + "/page/")},
		{name: "frail", share: .07, workers: 8, frail: true, visit: l.echo(c.kept, web+"/frail/", 0)},
		{name: "websocket", share: .005, workers: 4, visit: l.socket("ws://" + l.gateway.web + "/socket/")},
		{name: "events", share: .005, workers: 4, visit: l.events(web + "/events/")},
	}
}

// echo asks for a tag, with a body of a size, and wants both back.
func (l *load) echo(client *http.Client, base string, size int) func(context.Context, string) error {
	return func(ctx context.Context, tag string) error {
		method, body := "GET", ""
		if size > 0 {
			method, body = "POST", strings.Repeat(tag+".", size/(len(tag)+1)+1)
		}
		return get(ctx, client, method, base+tag, body, http.StatusOK, tag+" "+body, nil)
	}
}

// get makes a request and compares the answer.
func get(ctx context.Context, client *http.Client, method, url, body string, status int, want string, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	r, err := client.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("status %d, %d bytes, then %w", r.StatusCode, len(b), err)
	}
	if r.StatusCode != status || want != "" && string(b) != want {
		return fmt.Errorf("status %d (%s) and %d bytes, want %d and %d: %.300s", r.StatusCode, r.Header.Get("Gopura-Answer"), len(b), status, len(want), b)
	}
	if r.Header.Get("X-Generation") == "" && status == http.StatusOK {
		return errors.New("no generation in the answer")
	}
	return nil
}

// over3 asks over HTTP/3, and where no connection can be made, over HTTP/2, as browsers do.
func (l *load) over3(base string) func(context.Context, string) error {
	quic, tcp := l.echo(l.clients.h3, base, 0), l.echo(l.clients.h2, base, 0)
	return func(ctx context.Context, tag string) error {
		err := quic(ctx, tag)
		var none errNoHTTP3
		switch {
		case err == nil:
			l.http3.back()
			return nil
		case !errors.As(err, &none):
			return err
		}
		l.http3.away()
		if err := tcp(ctx, tag); err != nil {
			return fmt.Errorf("over HTTP/2, since HTTP/3 was away: %w", err)
		}
		return errMoved
	}
}

// withToken asks with a good token and with a bad one in turn.
func (l *load) withToken(base string) func(context.Context, string) error {
	good := l.gateway.token
	bad := good[:len(good)-8] + "AAAAAAAA"
	return func(ctx context.Context, tag string) error {
		if last := tag[len(tag)-1]; last%2 == 0 {
			return get(ctx, l.clients.h2, "GET", base+tag, "", http.StatusUnauthorized, "", http.Header{"Authorization": {"Bearer " + bad}})
		}
		return get(ctx, l.clients.h2, "GET", base+tag, "", http.StatusOK, tag+" ", http.Header{"Authorization": {"Bearer " + good}})
	}
}

// limited asks more than is allowed: it must be let in or refused.
func (l *load) limited(base string) func(context.Context, string) error {
	return func(ctx context.Context, tag string) error {
		err := get(ctx, l.clients.kept, "GET", base+tag, "", http.StatusOK, tag+" ", http.Header{"X-Client": {"one"}})
		if err != nil && strings.HasPrefix(err.Error(), "status 429 (rate_limited)") {
			return nil
		}
		return err
	}
}

// cached asks for one of ten answers that may come from memory.
func (l *load) cached(base string) func(context.Context, string) error {
	return func(ctx context.Context, tag string) error {
		n := tag[len(tag)-1:]
		return get(ctx, l.clients.kept, "GET", base+n, "", http.StatusOK, n, nil)
	}
}

// composed asks for a page of three parts, one of which comes from the frail service and may be missing.
func (l *load) composed(base string) func(context.Context, string) error {
	type part struct{ Tag string }
	return func(ctx context.Context, tag string) error {
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, "GET", base+tag, nil)
		if err != nil {
			return err
		}
		r, err := l.clients.h2.Do(req)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		var page struct {
			User, Orders part
			News         *part
		}
		if err := json.NewDecoder(r.Body).Decode(&page); err != nil || r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d: %v", r.StatusCode, err)
		}
		if page.User.Tag != tag || page.Orders.Tag != tag || page.News != nil && page.News.Tag != tag || page.News == nil && !l.services.excuses(began) {
			return fmt.Errorf("parts %v", page)
		}
		return nil
	}
}

// socket opens a WebSocket for a while, and wants each message back.
func (l *load) socket(base string) func(context.Context, string) error {
	return func(ctx context.Context, tag string) error {
		c, _, err := websocket.Dial(ctx, base+tag, nil)
		if err != nil {
			return err
		}
		defer c.CloseNow()
		for i := range messagesEach {
			message := fmt.Sprint(tag, " ", i)
			err := c.Write(ctx, websocket.MessageText, []byte(message))
			if err == nil {
				var b []byte
				if _, b, err = c.Read(ctx); err == nil && string(b) != message {
					return fmt.Errorf("message %q, want %q", b, message)
				}
			}
			if websocket.CloseStatus(err) == websocket.StatusGoingAway {
				return errMoved
			}
			if err != nil {
				return err
			}
			pause(ctx, 100*time.Millisecond)
		}
		if err := c.Close(websocket.StatusNormalClosure, ""); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			return err
		}
		return errMoved
	}
}

// events reads an event stream to its end.
func (l *load) events(base string) func(context.Context, string) error {
	return func(ctx context.Context, tag string) error {
		req, err := http.NewRequestWithContext(ctx, "GET", base+tag, nil)
		if err != nil {
			return err
		}
		r, err := l.clients.kept.Do(req)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		lines := bufio.NewScanner(r.Body)
		n := 0
		for lines.Scan() {
			if line := lines.Text(); line != "" {
				if want := fmt.Sprintf("data: %s %d", tag, n); line != want {
					return fmt.Errorf("event %q, want %q", line, want)
				}
				n++
			}
		}
		if n != eventsEach || lines.Err() != nil {
			return fmt.Errorf("%d of %d events: %v", n, eventsEach, lines.Err())
		}
		return nil
	}
}
