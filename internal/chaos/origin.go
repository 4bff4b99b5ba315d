package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// asked finds the plan of a request that has come to a service, and holds all
// that the request says of itself against it.
func (a *account) asked(r *http.Request) (plan, bool) {
	tag := r.Header.Get("X-Tag")
	n, ok := numberOf(tag)
	if !ok || n >= 64*len(a.twice) {
		a.mismatch("a service got %s %s with the tag %q", r.Method, r.URL, tag)
		return plan{}, false
	}
	p := planOf(n)
	if r.Method != p.method || r.URL.String() != p.path() || r.Header.Get("X-Request-Id") != tag {
		a.mismatch("a service got %s %s, id %q, with the tag %q", r.Method, r.URL, r.Header.Get("X-Request-Id"), tag)
		return plan{}, false
	}
	a.seen(&p)
	return p, true
}

// uploaded reads the body of a request: it is that of its tag, and one that ends
// is whole.
func (a *account) uploaded(p *plan, body io.Reader) bool {
	b, err := io.ReadAll(body)
	if len(b) > p.upload || !bytes.Equal(b, p.text(len(b))) || err == nil && len(b) != p.upload {
		a.mismatch("a service got %d bytes of %d for %s (%v): %.60q", len(b), p.upload, p.tag, err, b)
		return false
	}
	return err == nil
}

// serveHTTP1 is a service that speaks HTTP/1.1, by hand, so that it can do it badly.
func serveHTTP1(l net.Listener, a *account) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			br := bufio.NewReader(c)
			for {
				c.SetDeadline(time.Now().Add(30 * time.Second))
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				p, ok := a.asked(r)
				if !ok {
					return
				}
				early := p.answer == "early" // it answers before it has read
				if early && !replyHTTP1(c, &p) {
					return
				}
				if !a.uploaded(&p, r.Body) {
					return
				}
				time.Sleep(p.delay)
				if !early && !replyHTTP1(c, &p) {
					return
				}
			}
		}()
	}
}

// replyHTTP1 answers, and reports whether the connection goes on.
func replyHTTP1(c net.Conn, p *plan) bool {
	body := p.text(p.size)
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n", p.size)
	if p.method == "HEAD" {
		body = nil
	}
	write := func(head string, parts ...[]byte) bool {
		text := "HTTP/1.1 200 OK\r\nX-Tag: " + p.tag + "\r\n" + head
		if p.answer == "interim" {
			text = "HTTP/1.1 103 Early Hints\r\nLink: </" + p.tag + ">\r\n\r\n" + text
		}
		_, err := c.Write(append([]byte(text), bytes.Join(parts, nil)...))
		return err == nil
	}
	switch p.answer {
	case "silent close":
		return false
	case "reset":
		c.(moored).Conn.(*net.TCPConn).SetLinger(0)
		return false
	case "cut":
		write(fmt.Sprintf("Content-Length: %d\r\n\r\n", p.size+10), body[:len(body)/2])
		return false
	case "close after":
		write(length, body)
		return false
	case "until close":
		write("Connection: close\r\n\r\n", body)
		return false
	case "surplus":
		return write(length, body, []byte("HTTP/1.1 200 OK\r\nX-Tag: poison\r\nContent-Length: 6\r\n\r\npoison"))
	case "chunked":
		if p.method == "HEAD" {
			return write("Transfer-Encoding: chunked\r\n\r\n")
		}
		var chunks bytes.Buffer
		for step := max(len(body)/3, 1); len(body) > 0; {
			n := min(step, len(body))
			fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		chunks.WriteString("0\r\n\r\n")
		return write("Transfer-Encoding: chunked\r\n\r\n", chunks.Bytes())
	}
	return write(length, body)
}

// serveHTTP2 is a service that speaks HTTP/2, by net/http.
func serveHTTP2(l net.Listener, a *account) *http.Server {
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := a.asked(r)
		if !ok {
			panic(http.ErrAbortHandler)
		}
		if p.answer == "early" {
			replyHTTP2(w, &p)
			w.(http.Flusher).Flush()
		}
		if !a.uploaded(&p, r.Body) {
			panic(http.ErrAbortHandler)
		}
		time.Sleep(p.delay)
		if p.answer != "early" {
			replyHTTP2(w, &p)
		}
	})}
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	return s
}

func replyHTTP2(w http.ResponseWriter, p *plan) {
	body := p.text(p.size)
	w.Header().Set("X-Tag", p.tag)
	switch p.answer {
	case "silent close", "reset":
		panic(http.ErrAbortHandler)
	case "interim":
		w.Header().Set("Link", "</"+p.tag+">")
		w.WriteHeader(http.StatusEarlyHints)
	}
	// After an interim answer net/http may still be reading the header.
	if p.answer != "chunked" && p.answer != "interim" {
		w.Header().Set("Content-Length", strconv.Itoa(p.size))
	}
	if p.answer == "cut" {
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// linksOnly reports whether an interim answer is that of p.
func linksOnly(p *plan, link string) bool { return strings.Trim(link, "</>") == p.tag }
