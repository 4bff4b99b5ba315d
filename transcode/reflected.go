package transcode

import (
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"gopura/exchange"
)

// AnswerReflection appends the answer to one question of server reflection, v1
// or v1alpha, which differ in their name only. More names services beside those
// of the schema.
func (s *Schema) AnswerReflection(dst, question []byte, more ...string) ([]byte, error) {
	return (&told{schemas: []*Schema{s}, more: more}).answer(dst, question)
}

// Reflection answers server reflection for the services behind a gateway: it
// tells of the methods that clients reach, and of no others.
type Reflection struct {
	Sources []Schemas
	// Reach says which of the methods of a source clients of x reach, by path.
	Reach func(x *exchange.Exchange, source int, path string) bool
}

// Serve implements exchange.Handler: a call of ServerReflectionInfo.
func (r *Reflection) Serve(x *exchange.Exchange) error {
	known := false
	for _, path := range reflections {
		known = known || string(x.Request.Path) == path
	}
	if !known || !exchange.IsGRPC(x.Request.Header.Get("Content-Type")) {
		return exchange.NoRoute.Because(nil)
	}
	b := &reflectionBody{inner: x.Request.Body}
	if err := b.frames.Reset(x.Request.Body, maxQuestion, x.Request.Header.Get("grpc-encoding")); err != nil {
		return unsupported("Messages may be compressed with gzip, or not at all.")
	}
	b.told.methods = map[string]bool{}
	b.told.services = map[string]bool{}
	for i, source := range r.Sources {
		s := source.Schema()
		if s == nil {
			continue // the others are told of
		}
		b.told.schemas = append(b.told.schemas, s)
		for _, sd := range s.services {
			for j := range sd.Methods().Len() {
				path := "/" + string(sd.FullName()) + "/" + string(sd.Methods().Get(j).Name())
				if r.Reach(x, i, path) {
					b.told.methods[path] = true
					b.told.services[string(sd.FullName())] = true
				}
			}
		}
	}
	x.Response.Status = 200
	x.Response.Header.Add("Content-Type", "application/grpc")
	x.Response.Body = b
	return nil
}

// maxQuestion is how long a question may be: a name.
const maxQuestion = 64 << 10

// reflectionBody answers the questions of a call as they come.
type reflectionBody struct {
	inner  exchange.Body
	frames FrameReader
	told   told
	out    []byte
	tail   exchange.Header
	done   bool
}

// Next implements exchange.Body.
func (b *reflectionBody) Next() ([]byte, error) {
	if b.done {
		return nil, io.EOF
	}
	question, err := b.frames.Next()
	if err == nil {
		b.out = append(b.out[:0], 0, 0, 0, 0, 0)
		if b.out, err = b.told.answer(b.out, question); err == nil {
			sealFrame(b.out)
			return b.out, nil
		}
	}
	if exchange.ClientGone.Is(err) {
		return nil, err
	}
	b.done = true
	status := Status{}
	if err != io.EOF {
		status = Status{Code: exchange.GRPCInvalidArgument, Message: "The question is not valid."}
	}
	addStatus(&b.tail, status)
	return nil, io.EOF
}

// Len implements exchange.Body.
func (b *reflectionBody) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (b *reflectionBody) Trailer() *exchange.Header { return &b.tail }

// Close implements exchange.Body.
func (b *reflectionBody) Close() error { return b.inner.Close() }

// Ready implements exchange.Ready.
func (b *reflectionBody) Ready() bool { return b.done || b.frames.Ready() }

// told is what reflection tells.
type told struct {
	schemas  []*Schema
	more     []string        // names of further services
	methods  map[string]bool // by path; nil: all
	services map[string]bool // those that have one of methods
}

// answer appends the answer to a question.
func (t *told) answer(dst, question []byte) ([]byte, error) {
	dst = protowire.AppendBytes(protowire.AppendTag(dst, 2, protowire.BytesType), question)
	number, text := protowire.Number(0), ""
	err := eachBytes(question, func(n protowire.Number, v []byte) error {
		if n != 1 { // the host
			number, text = n, string(v)
		}
		return nil
	})
	if err != nil {
		return dst, err
	}
	var file protoreflect.FileDescriptor
	switch number {
	case 3:
		file = t.file(text)
	case 4:
		file = t.symbol(text)
	case 7:
		return t.list(dst), nil
	default:
		return appendReflectionError(dst, exchange.GRPCUnimplemented, "only files, symbols and services are told"), nil
	}
	if file == nil {
		return appendReflectionError(dst, exchange.GRPCNotFound, "not found"), nil
	}
	p := protodesc.ToFileDescriptorProto(file)
	t.hide(p)
	b, err := proto.Marshal(p)
	if err != nil {
		return dst, err
	}
	answer := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
	return protowire.AppendBytes(protowire.AppendTag(dst, 4, protowire.BytesType), answer), nil
}

// list appends the names of the services.
func (t *told) list(dst []byte) []byte {
	var list []byte
	seen := map[string]bool{}
	for _, s := range t.schemas {
		for _, name := range s.Services() {
			if seen[name] || t.services != nil && !t.services[name] {
				continue
			}
			seen[name] = true
			one := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
			list = protowire.AppendBytes(protowire.AppendTag(list, 1, protowire.BytesType), one)
		}
	}
	for _, name := range t.more {
		one := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		list = protowire.AppendBytes(protowire.AppendTag(list, 1, protowire.BytesType), one)
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, 6, protowire.BytesType), list)
}

func (t *told) file(name string) protoreflect.FileDescriptor {
	for _, s := range t.schemas {
		if f, err := s.files.FindFileByPath(name); err == nil {
			return f
		}
	}
	return nil
}

// symbol returns the file of a symbol that is told of.
func (t *told) symbol(name string) protoreflect.FileDescriptor {
	for _, s := range t.schemas {
		d, err := s.files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			continue
		}
		switch d := d.(type) {
		case protoreflect.ServiceDescriptor:
			if t.services != nil && !t.services[name] {
				continue
			}
		case protoreflect.MethodDescriptor:
			if t.methods != nil && !t.methods["/"+string(d.Parent().FullName())+"/"+string(d.Name())] {
				continue
			}
		}
		return d.ParentFile()
	}
	return nil
}

// hide takes out of a file the services and methods that are not told of.
func (t *told) hide(f *descriptorpb.FileDescriptorProto) {
	if t.methods == nil {
		return
	}
	f.SourceCodeInfo = nil // its paths count services
	services := f.Service[:0]
	for _, s := range f.Service {
		full := s.GetName()
		if f.GetPackage() != "" {
			full = strings.Join([]string{f.GetPackage(), full}, ".")
		}
		methods := s.Method[:0]
		for _, m := range s.Method {
			if t.methods["/"+full+"/"+m.GetName()] {
				methods = append(methods, m)
			}
		}
		if s.Method = methods; len(methods) > 0 {
			services = append(services, s)
		}
	}
	f.Service = services
}

func appendReflectionError(dst []byte, code exchange.GRPCCode, text string) []byte {
	e := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(code))
	e = protowire.AppendString(protowire.AppendTag(e, 2, protowire.BytesType), text)
	return protowire.AppendBytes(protowire.AppendTag(dst, 7, protowire.BytesType), e)
}
