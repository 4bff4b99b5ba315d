package transcode

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"

	"gopura/exchange"
)

// RESTOptions say which calls of gRPC methods become which REST requests.
type RESTOptions struct {
	Name     string           // of the service, for errors
	Source   Schemas          // what its methods are
	Service  exchange.Handler // where requests go
	Services []string         // none: all
	JSON     JSONOptions
	Limits   Limits
}

// ToREST is a REST service for clients that speak gRPC: the other direction of
// Handler, by the same google.api.http rules. It takes unary calls, and those
// whose answer is a stream.
type ToREST struct {
	o     RESTOptions
	mu    sync.Mutex
	table atomic.Pointer[restTable]
	calls sync.Pool
}

// NewToREST returns a handler. Check tells what is wrong with the options.
func NewToREST(o RESTOptions) *ToREST { return &ToREST{o: o} }

// restTable is what the options mean for one schema.
type restTable struct {
	schema  *Schema
	codec   *Codec
	methods map[string][]*binding // by path; the first that a message can fill is taken
	err     error
	faults  []string
}

// Check tells what is wrong with the options: the problem that leaves no way to
// serve, and those of single methods.
func (h *ToREST) Check() (faults []string, err error) {
	s := h.o.Source.Schema()
	if s == nil {
		return nil, nil
	}
	t := h.compiled(s)
	return t.faults, t.err
}

func (h *ToREST) compiled(s *Schema) *restTable {
	if t := h.table.Load(); t != nil && t.schema == s {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &restTable{schema: s, codec: NewCodec(s, h.o.JSON, h.o.Limits), methods: map[string][]*binding{}}
	t.err = t.all(h.o.Services)
	h.table.Store(t)
	return t
}

func (t *restTable) all(services []string) error {
	for _, name := range services {
		if t.schema.Service(name) == nil {
			return fmt.Errorf("there is no service %s%s", name, among(t.schema.Services()))
		}
	}
	for _, sd := range t.schema.services {
		if len(services) > 0 && !slices.Contains(services, string(sd.FullName())) {
			continue
		}
		for i := range sd.Methods().Len() {
			if err := t.method(sd.Methods().Get(i)); err != nil {
				t.faults = append(t.faults, string(sd.Methods().Get(i).FullName())+": "+err.Error())
			}
		}
	}
	if len(t.methods) == 0 {
		return errors.New("there are no methods that could become requests")
	}
	return nil
}

func (t *restTable) method(md protoreflect.MethodDescriptor) error {
	m := t.schema.method(md)
	rules, err := rulesOf(md)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		rules = []Rule{{Method: "POST", Path: m.Path, Body: "*"}}
	}
	var list []*binding
	for _, r := range rules {
		b, err := t.schema.bind(m, r, nil)
		if err != nil {
			return err
		}
		if err := b.fillable(); err != nil {
			return err
		}
		if m.ClientStreaming {
			if err := b.lined(); err != nil {
				return err
			}
		}
		list = append(list, b)
	}
	t.methods[m.Path] = list
	return nil
}

// fillable complains about a template with a wildcard that no variable fills.
func (b *binding) fillable() error {
	for i, seg := range b.template.segments {
		if seg != star && seg != rest {
			continue
		}
		if !slices.ContainsFunc(b.template.vars, func(v variable) bool { return i >= v.from && (v.to < 0 || i < v.to) }) {
			return fmt.Errorf("the path %q has a * that is no field: a call can't say what stands there", b.text)
		}
	}
	return nil
}

// requestMethod is the method of the requests that b makes.
func (b *binding) requestMethod() string {
	switch {
	case b.http != "*":
		return b.http
	case b.whole || b.body != nil:
		return "POST"
	}
	return "GET"
}

// Serve implements exchange.Handler.
func (h *ToREST) Serve(x *exchange.Exchange) error {
	kind := x.Request.Header.Get("Content-Type")
	if !exchange.IsGRPC(kind) {
		return h.o.Service.Serve(x) // it speaks REST already
	}
	s := h.o.Source.Schema()
	if s == nil {
		return exchange.SchemaUnavailable.Errorf("service %q: %w", h.o.Name, errUnknown)
	}
	t := h.compiled(s)
	list := t.methods[string(x.Request.Path)]
	if list == nil {
		return exchange.MethodUnknown.Errorf("service %q has no method %.100q with a form in REST", h.o.Name, x.Request.Path)
	}
	if !protoCodec(kind) {
		return exchange.MediaTypeUnsupported.Saying("The messages of the call must be protobuf.")
	}
	c, _ := h.calls.Get().(*restCall)
	if c == nil {
		c = &restCall{h: h}
		c.over = c.end
	}
	x.OnDone(c.over)
	c.x, c.t, c.b = x, t, list[0]
	if err := c.serve(list); err != nil {
		x.DropResponse()
		return err
	}
	return nil
}

// protoCodec reports whether a type of gRPC says that messages are protobuf.
func protoCodec(kind []byte) bool {
	codec := strings.ToLower(string(kind[len("application/grpc"):]))
	codec, _, _ = strings.Cut(codec, ";")
	codec = strings.TrimSpace(codec)
	return codec == "" || codec == "+proto"
}

// restCall is one call on its way to a REST service and back. It is pooled with
// its memory, which lives until the exchange is done.
type restCall struct {
	h       *ToREST
	x       *exchange.Exchange
	t       *restTable
	b       *binding
	inner   exchange.Body // the client's, while ours stands in its place
	frames  FrameReader
	header  exchange.Header // of the request
	path    []byte
	query   []byte
	json    []byte // the request's body
	kind    []byte // and its type, where it is a google.api.HttpBody
	in      []byte // the answer's body, where it came in pieces
	wire    []byte // frames for the client
	request messageBody
	lines   messageLines
	flaw    atomic.Pointer[exchange.Error] // why a stream of requests can't be translated
	reply   frameBody
	stream  frameStream
	over    func(*exchange.Exchange)
}

func (c *restCall) end(x *exchange.Exchange) {
	if c.inner != nil {
		x.Request.Body, c.inner = c.inner, nil
	}
	if b := x.Response.Body; b == &c.reply || b == &c.stream {
		x.Response.Body = exchange.NoBody
	}
	exchange.Poison(c.json)
	exchange.Poison(c.wire)
	c.x, c.t, c.b = nil, nil, nil
	c.flaw.Store(nil)
	c.header.Reset()
	_ = c.frames.Reset(exchange.NoBody, 0, nil)
	c.request, c.reply = messageBody{}, frameBody{}
	c.stream = frameStream{lines: lineReader{buf: c.stream.lines.buf[:0]}}
	if cap(c.in)+cap(c.wire)+cap(c.json)+cap(c.query)+cap(c.stream.lines.buf)+cap(c.frames.pending)+cap(c.frames.plain) > keepMemory {
		return
	}
	c.in, c.wire, c.json = c.in[:0], c.wire[:0], c.json[:0]
	c.h.calls.Put(c)
}

// serve makes the request that the call means, and the call's end of its answer.
func (c *restCall) serve(list []*binding) error {
	var body exchange.Body = exchange.NoBody
	if c.b.method.ClientStreaming {
		if err := c.openLines(); err != nil {
			return err
		}
		body = &c.lines
	} else {
		message, err := c.message()
		if err != nil {
			return err
		}
		if err := c.translate(list, message); err != nil {
			return err
		}
		if len(c.request.b) > 0 {
			body = &c.request
		}
	}
	err := c.send(body)
	if err == nil {
		err = c.answer()
	}
	if flaw := c.flaw.Load(); flaw != nil && err != nil {
		return flaw
	}
	return err
}

// openFrames begins to read the messages of the call.
func (c *restCall) openFrames() error {
	q := &c.x.Request
	if err := c.frames.Reset(q.Body, c.t.codec.limits.Message, q.Header.Get("grpc-encoding")); err != nil {
		e := exchange.MethodUnknown.Saying("The messages are compressed in a way that is not known here; gzip is.")
		e.Header.Add("Grpc-Accept-Encoding", "identity,gzip") // compression.md, "Compression Method Asymmetry"
		return e
	}
	return nil
}

// message reads the one message of the call.
func (c *restCall) message() ([]byte, error) {
	if err := c.openFrames(); err != nil {
		return nil, err
	}
	message, err := c.frames.Next()
	switch {
	case err == nil:
	case err == io.EOF:
		return nil, exchange.BadBody.Saying("The call has no message.")
	default:
		return nil, badFrame(err)
	}
	if c.frames.body.Len() != 0 || len(c.frames.rest) > 0 {
		// The message lies in memory that the next piece may take.
		c.in = append(c.in[:0], message...)
		message = c.in
		switch _, err := c.frames.Next(); {
		case err == nil:
			return nil, exchange.BadBody.Saying("The call has more than one message.")
		case err != io.EOF:
			return nil, badFrame(err)
		}
	}
	return message, nil
}

func badFrame(err error) error {
	if errors.Is(err, errMessageTooLarge) {
		return exchange.MessageTooLarge.Because(err)
	}
	return badBody(err)
}

// send serves the exchange as the REST request. For those around us, it then is
// what it was.
func (c *restCall) send(body exchange.Body) error {
	q := &c.x.Request
	method, path, query, header := q.Method, q.Path, q.Query, q.Header
	trailers, expect := q.Trailers, q.ExpectContinue
	defer func() {
		q.Method, q.Path, q.Query, q.Header = method, path, query, header
		q.Trailers, q.ExpectContinue = trailers, expect
	}()
	q.Method, q.Path, q.Query, q.Header = c.b.requestMethod(), c.path, c.query, c.header
	q.Trailers, q.ExpectContinue = false, false
	if len(c.query) == 0 {
		q.Query = nil
	}
	q.Body, c.inner = body, q.Body
	return c.h.o.Service.Serve(c.x)
}
