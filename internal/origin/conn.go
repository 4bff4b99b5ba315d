package origin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

const (
	bufferSize = 16 << 10 // also the longest line of a head
	maxFields  = 200
	maxEcho    = 16 << 20
)

var (
	errRequestLine = errors.New("not an HTTP/1.1 request line")
	errField       = errors.New("not a header field")
	errLength      = errors.New("not a Content-Length")
	errFields      = errors.New("too many header fields")
	errEcho        = errors.New("body over 16 MiB")
)

// conn is one connection and the request that it is at.
type conn struct {
	server *Server
	net    net.Conn
	in     *bufio.Reader
	out    []byte // scratch for answers that aren't ready made

	answer  answer
	head    bool  // the method is HEAD
	length  int64 // of the request's body; chunked: -1
	last    bool  // Connection: close
	expects bool  // Expect: 100-continue
	echo    []byte
}

func newConn(s *Server, c net.Conn) *conn {
	return &conn{server: s, net: c, in: bufio.NewReaderSize(c, bufferSize)}
}

// serve answers requests, one after the other, until either side has enough.
func (c *conn) serve() {
	for !c.last {
		if err := c.readHead(); err != nil {
			if !errors.Is(err, io.EOF) {
				c.net.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
			}
			return
		}
		if err := c.readBody(); err != nil {
			return
		}
		if !c.wait(c.answer.sleep) {
			return
		}
		c.server.requests.Add(1)
		if _, err := c.net.Write(c.bytes()); err != nil {
			return
		}
	}
}

// readHead reads up to the empty line. Lines are looked at one by one, where
// they lie in the read buffer, since the next read may move them.
func (c *conn) readHead() error {
	c.length, c.last, c.expects, c.echo = 0, false, false, c.echo[:0]
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !bytes.HasPrefix(version, []byte("HTTP/1.1")) || len(target) == 0 || target[0] != '/' {
		return errRequestLine
	}
	c.head = string(method) == "HEAD"
	c.answer = c.server.find(target)
	for n := 0; ; n++ {
		if c.answer.headers {
			c.echo = append(c.echo, line...)
		}
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			return nil
		}
		if n == maxFields {
			return errFields
		}
		if err = c.field(line); err != nil {
			return err
		}
	}
}

// field notes the header fields that matter to the connection.
func (c *conn) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return errField
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch {
	case is(name, "content-length"):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return errLength
		}
		c.length = n
	case is(name, "transfer-encoding"):
		c.length = -1
	case is(name, "connection"):
		c.last = is(value, "close")
	case is(name, "expect"):
		c.expects = true
	}
	return nil
}

func is(b []byte, word string) bool {
	return len(b) == len(word) && bytes.EqualFold(b, []byte(word))
}

// readBody reads the body to its end, and keeps it for /echo.
func (c *conn) readBody() error {
	if c.length == 0 {
		return nil
	}
	if c.expects {
		if _, err := io.WriteString(c.net, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	body := io.LimitReader(c.in, c.length)
	if c.length < 0 {
		body = httputil.NewChunkedReader(c.in)
	}
	if err := c.keep(body); err != nil {
		return err
	}
	for c.length < 0 { // the trailer section, to its empty line
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
	}
	return nil
}

func (c *conn) keep(body io.Reader) error {
	if !c.answer.echo {
		n, err := io.Copy(io.Discard, body)
		return short(n, c.length, err)
	}
	b := bytes.NewBuffer(c.echo)
	n, err := io.Copy(b, io.LimitReader(body, maxEcho+1))
	c.echo = b.Bytes()
	if n > maxEcho {
		return errEcho
	}
	return short(n, c.length, err)
}

// short turns an end before the promised length into an error.
func short(n, length int64, err error) error {
	if err == nil && length > 0 && n < length {
		return io.ErrUnexpectedEOF
	}
	return err
}

// wait is false when the server closes first.
func (c *conn) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.server.done:
		return false
	}
}

// bytes is the answer as it goes to the wire.
func (c *conn) bytes() []byte {
	if c.answer.whole != nil && !c.head {
		return c.answer.whole
	}
	if c.answer.whole != nil {
		end := bytes.Index(c.answer.whole, []byte("\r\n\r\n"))
		return c.answer.whole[:end+4]
	}
	c.out = appendHead(c.out[:0], c.answer.status, len(c.echo))
	if !c.head {
		c.out = append(c.out, c.echo...)
	}
	return c.out
}
