package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// plan is all that happens with the exchange of a number.
type plan struct {
	number  int
	tag     string
	method  string
	upload  int  // bytes of the request's body
	chunked bool // of unknown length; else with Content-Length
	http2   bool // the service speaks it
	answer  string
	size    int // bytes of the answer's body
	delay   time.Duration
}

// What services do. Those in broken never answer completely.
var (
	overHTTP1 = []string{"length", "length", "length", "chunked", "chunked", "early", "interim", "close after", "until close", "surplus"}
	overHTTP2 = []string{"length", "length", "length", "chunked", "chunked", "early", "interim"}
	broken    = []string{"cut", "reset", "silent close"}
)

func planOf(number int) plan {
	r := rand.New(rand.NewPCG(uint64(number), 7))
	p := plan{number: number, tag: fmt.Sprintf("t%08d.", number), http2: r.IntN(2) == 0, chunked: r.IntN(2) == 0}
	p.method = [...]string{"GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT"}[r.IntN(8)]
	if p.method[0] == 'P' {
		p.upload = r.IntN(600)
		if r.IntN(20) == 0 {
			p.upload = r.IntN(100_000)
		}
	}
	kinds := overHTTP1
	if p.http2 {
		kinds = overHTTP2
	}
	p.answer = kinds[r.IntN(len(kinds))]
	if r.IntN(12) == 0 {
		p.answer = broken[r.IntN(len(broken))]
	}
	p.size = r.IntN(600)
	switch r.IntN(24) {
	case 0:
		p.size = r.IntN(100_000)
	case 1, 2:
		p.delay = time.Duration(r.IntN(5)) * time.Millisecond
	}
	if p.answer == "surplus" {
		p.size %= 400 // in one packet with the surplus
	}
	if p.answer == "cut" {
		p.size += 2 // there has to be something to cut
	}
	return p
}

// path leads to the service; the tag stands in it twice.
func (p *plan) path() string {
	if p.http2 {
		return "/two/" + p.tag + "?" + p.tag
	}
	return "/one/" + p.tag + "?" + p.tag
}

func (p *plan) String() string {
	version := 1
	if p.http2 {
		version = 2
	}
	return fmt.Sprintf("%s %s, %d bytes, chunked %v, HTTP/%d service, %s, %d bytes", p.method, p.tag, p.upload, p.chunked, version, p.answer, p.size)
}

// once reports whether the request must not reach a service twice.
func (p *plan) once() bool { return p.method == "POST" }

// text returns n bytes of the tag, over and over.
func (p *plan) text(n int) []byte { return bytes.Repeat([]byte(p.tag), n/len(p.tag)+1)[:n] }

// numberOf reads the number in a tag.
func numberOf(tag string) (int, bool) {
	rest, ok := strings.CutPrefix(tag, "t")
	rest, dot := strings.CutSuffix(rest, ".")
	n, err := strconv.Atoi(rest)
	return n, ok && dot && err == nil
}
