package scripttest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// rawAnswer is what came back for raw bytes.
type rawAnswer struct {
	bytes  []byte
	closed bool // by the gateway
}

// unescape reads a file of raw bytes: its newlines are there for the reader
// only, and bytes are what Go's escapes say.
func unescape(text string) ([]byte, error) {
	var b []byte
	for rest := strings.ReplaceAll(text, "\n", ""); rest != ""; {
		if rest[0] == '"' || rest[0] == '\'' {
			b, rest = append(b, rest[0]), rest[1:]
			continue
		}
		c, multibyte, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return nil, usage("bad escape at %.20q", rest)
		}
		if rest = tail; multibyte {
			b = append(b, string(c)...)
		} else {
			b = append(b, byte(c))
		}
	}
	return b, nil
}

// raw sends bytes over a connection of its own and reads until the gateway
// closes it or has been silent for a while.
func (r *run) raw(a args) error {
	address, err := r.address(a)
	if err != nil {
		return err
	}
	text, ok := r.files[a.words[0]]
	if !ok {
		return usage("there is no file %s", a.words[0])
	}
	if text, err = r.expand(text); err != nil {
		return err
	}
	data, err := unescape(text)
	if err != nil {
		return err
	}
	wait := 300 * time.Millisecond
	if a.has("wait") {
		if wait, err = time.ParseDuration(a.option("wait")); err != nil {
			return usageError{err}
		}
	}
	var conn net.Conn
	if r.protocol.tls() {
		next := map[bool]string{true: "h2", false: "http/1.1"}[r.protocol.h2()]
		conn, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{next}})
	} else {
		conn, err = net.Dial("tcp", address)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	r.records = len(r.gateway.AccessRecords())
	r.lastRaw = new(rawAnswer)
	// The gateway may close before it has read everything.
	conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	go conn.Write(data)
	buf := make([]byte, 64<<10)
	for len(r.lastRaw.bytes) < 64<<20 {
		conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		r.lastRaw.bytes = append(r.lastRaw.bytes, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			r.lastRaw.closed = true
			return nil
		}
	}
	return io.ErrShortBuffer
}

func (r *run) answer(a args) error {
	if r.lastRaw == nil {
		return usage("no raw bytes were sent")
	}
	got := string(r.lastRaw.bytes)
	switch {
	case a.has("closed") && !r.lastRaw.closed:
		return errors.New("the connection is still open")
	case a.has("open") && r.lastRaw.closed:
		return errors.New("the connection is closed")
	case a.has("empty") && got != "":
		return fmt.Errorf("the answer is %q", got)
	}
	if a.has("match") {
		if err := matches(a.option("match"), got); err != nil {
			return err
		}
	}
	if len(a.words) == 0 {
		return nil
	}
	n := strings.Count(got, a.words[0])
	if a.has("count") {
		lo, hi, err := span(a.option("count"))
		if err != nil {
			return err
		}
		if n < lo || n > hi {
			return fmt.Errorf("it is there %d times: %q", n, got)
		}
		return nil
	}
	if n == 0 {
		return fmt.Errorf("it is not in %q", got)
	}
	return nil
}
