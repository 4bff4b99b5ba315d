package scripttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// client speaks the protocol of a run to one address, keeping its connection.
type client struct {
	transport interface {
		http.RoundTripper
		CloseIdleConnections()
	}
	protocol Protocol
	address  string
}

func newClient(p Protocol, address string) *client {
	secure := &tls.Config{InsecureSkipVerify: true} // the gateway made its certificate itself
	if p == H3 {
		return &client{protocol: p, address: address, transport: &http3.Transport{TLSClientConfig: secure, DisableCompression: true, QUICConfig: &quic.Config{EnableStreamResetPartialDelivery: true}}}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!p.h2())
	protocols.SetHTTP2(p == H2)
	protocols.SetUnencryptedHTTP2(p == H2C)
	return &client{protocol: p, address: address, transport: &http.Transport{
		Protocols:             protocols,
		TLSClientConfig:       secure,
		DisableCompression:    true,
		ExpectContinueTimeout: 3 * time.Second,
	}}
}

func (c *client) close() {
	c.transport.CloseIdleConnections()
	if t, ok := c.transport.(io.Closer); ok { // HTTP/3: and the socket
		t.Close()
	}
}

// response is what came of a request.
type response struct {
	request   string
	status    int // 0: no head came
	proto     string
	header    http.Header
	body      []byte
	trailer   http.Header
	err       error // why there is no head, or not all of the body
	noticed   bool  // a line has said that it broke
	continued bool
	informed  []int
}

// do sends the request and reads all of the answer.
func (c *client) do(r *http.Request, timeout time.Duration) *response {
	a := &response{request: r.Method + " " + r.URL.RequestURI()}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got100Continue: func() { a.continued = true },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			a.informed = append(a.informed, code)
			return nil
		},
	}))
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.status, a.proto, a.header = resp.StatusCode, resp.Proto, resp.Header
	a.body, a.err = io.ReadAll(resp.Body)
	a.trailer = resp.Trailer
	if want := c.protocol.version(); a.proto != want && a.err == nil {
		a.err = fmt.Errorf("the answer is %s, want %s", a.proto, want)
	}
	return a
}

// breaking is a request body that fails after some bytes.
type breaking struct {
	io.Reader
	arrived func() bool
}

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		time.Sleep(100 * time.Millisecond) // what was sent arrives first, also on a busy machine
		for end := time.Now().Add(3 * time.Second); !b.arrived() && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		err = errors.New("the script breaks the body off")
	}
	return n, err
}

// arrivals returns what says whether any upstream has received a request since.
func (r *run) arrivals() func() bool {
	seen := func() (n int) {
		for _, u := range r.upstreams {
			u.mu.Lock()
			n += len(u.calls)
			u.mu.Unlock()
		}
		return n
	}
	before := seen()
	return func() bool { return seen() > before }
}

// unsized hides the length of a body, so that it is sent in chunks.
type unsized struct{ io.Reader }

func (r *run) address(a args) (string, error) {
	if r.gateway == nil {
		return "", usage("no gateway runs")
	}
	address := r.gateway.Address(a.option("listener"))
	if a.has("admin") {
		address = r.gateway.Admin()
	}
	if address == "" {
		return "", usage("the gateway has no such listener")
	}
	return address, nil
}

func (r *run) request(a args) error {
	if err := r.unnoticed(); err != nil {
		return err
	}
	address, err := r.address(a)
	if err != nil {
		return err
	}
	protocol := r.protocol
	if a.has("admin") {
		protocol = HTTP
	}
	c := r.clients[address]
	if c == nil {
		c = newClient(protocol, address)
		r.clients[address] = c
	}
	timeout, until := 30*time.Second, 0
	if a.has("timeout") {
		if timeout, err = time.ParseDuration(a.option("timeout")); err != nil {
			return usageError{err}
		}
	}
	if a.has("until") {
		if until, err = strconv.Atoi(a.option("until")); err != nil {
			return usage("-until wants a status")
		}
	}
	r.records = len(r.gateway.AccessRecords())
	once := func() error {
		req, err := r.newRequest(c, a)
		if err != nil {
			return err
		}
		r.last = c.do(req, timeout)
		if until != 0 && r.last.status != until {
			r.last.noticed = true
			return fmt.Errorf("the status is still %d", r.last.status)
		}
		return nil
	}
	if until != 0 {
		return within(5*time.Second, once)
	}
	return once()
}

func (r *run) newRequest(c *client, a args) (*http.Request, error) {
	target := a.words[1]
	u, err := url.Parse(c.protocol.scheme() + "://" + c.address + target)
	if err != nil {
		return nil, usageError{err}
	}
	body, err := r.requestBody(a)
	if err != nil {
		return nil, err
	}
	req := &http.Request{ProtoMajor: 1, ProtoMinor: 1, Method: a.words[0], URL: u, Host: a.option("host"), Header: http.Header{"User-Agent": {"scripttest"}}}
	if body != nil {
		req.ContentLength = int64(len(body))
		rd := io.Reader(bytes.NewReader(body))
		if a.has("break") {
			n, err := size(a.option("break"))
			if err != nil || n > req.ContentLength {
				return nil, usage("-break wants a number of bytes of the body")
			}
			rd = breaking{bytes.NewReader(body[:n]), r.arrivals()}
		}
		if a.has("chunked") || a.has("trailer") {
			req.ContentLength, rd = -1, unsized{rd}
		}
		req.Body = io.NopCloser(rd)
	}
	if a.has("expect") {
		req.Header.Set("Expect", "100-continue")
	}
	fields, err := fieldsOf(a.options["header"])
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		if strings.EqualFold(f[0], "User-Agent") {
			req.Header.Del(f[0])
		}
		req.Header.Add(f[0], f[1])
	}
	trailers, err := fieldsOf(a.options["trailer"])
	if err != nil {
		return nil, err
	}
	for _, f := range trailers {
		if req.Trailer == nil {
			req.Trailer = http.Header{}
		}
		req.Trailer.Add(f[0], f[1])
	}
	return req, nil
}

// requestBody returns nil when the request has none.
func (r *run) requestBody(a args) ([]byte, error) {
	switch {
	case a.has("size"):
		n, err := size(a.option("size"))
		return filler(n), err
	case a.has("file"):
		return []byte(r.files[a.option("file")]), nil
	case a.has("body"), a.has("chunked"), a.has("trailer"):
		return []byte(a.option("body")), nil
	}
	return nil, nil
}

// unnoticed is the error of an answer that broke off without a line having
// said that it does.
func (r *run) unnoticed() error {
	if r.last != nil && r.last.err != nil && !r.last.noticed {
		return fmt.Errorf("%s: the answer broke off: %w", r.last.request, r.last.err)
	}
	return nil
}

// answered returns the last response; it has a head.
func (r *run) answered() (*response, error) {
	switch {
	case r.last == nil:
		return nil, usage("there was no request")
	case r.last.status == 0:
		return nil, fmt.Errorf("there is no answer: %w", r.last.err)
	}
	return r.last, nil
}

func (r *run) broken(args) error {
	if r.last == nil {
		return usage("there was no request")
	}
	r.last.noticed = true
	if r.last.err == nil {
		return errors.New("the answer came whole")
	}
	return nil
}

func (r *run) continued(args) error {
	if r.last == nil || !r.last.continued {
		return errors.New("no 100 came")
	}
	return nil
}

func (r *run) informed(a args) error {
	code, err := strconv.Atoi(a.words[0])
	if err != nil {
		return usageError{err}
	}
	if r.last == nil || !slices.Contains(r.last.informed, code) {
		return errors.New("it did not come")
	}
	return nil
}

// dump shows the last answer, for the error of a line.
func (r *run) dump() string {
	if r.last == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nlast answer, to %s over %s:\n  %s %d\n", r.last.request, r.protocol, r.last.proto, r.last.status)
	for _, name := range slices.Sorted(keys(r.last.header)) {
		for _, v := range r.last.header[name] {
			fmt.Fprintf(&b, "  %s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "  %s\n", short(r.last.body))
	if r.last.err != nil {
		fmt.Fprintf(&b, "  then: %v\n", r.last.err)
	}
	return b.String()
}
