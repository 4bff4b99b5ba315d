package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"gopura/exchange"
)

// The two names under which servers offer reflection, the newer first.
var reflections = []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}

const (
	maxReflected = 1000 // services
	maxRounds    = 32   // calls to learn what is imported
	batch        = 100  // questions in a call
)

// reflector asks a service what it is.
type reflector struct {
	service   exchange.Handler
	authority string
	path      string // the one of reflections that it knows
	bytes     int    // that its answers had so far
}

// Reflect asks a service, which is any Handler that takes gRPC requests, for its
// descriptors by server reflection. What it answers is bounded.
func Reflect(ctx context.Context, service exchange.Handler, authority string) (*descriptorpb.FileDescriptorSet, error) {
	r := &reflector{service: service, authority: authority}
	names, err := r.services(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]*descriptorpb.FileDescriptorProto{}
	if err := r.fetch(ctx, 4, names, files); err != nil {
		return nil, err
	}
	bundle, err := bundled()
	if err != nil {
		return nil, err
	}
	asked := map[string]bool{}
	for range maxRounds {
		var missing []string
		for _, f := range files {
			for _, name := range f.GetDependency() {
				if files[name] == nil && bundle[name] == nil && !asked[name] {
					asked[name] = true
					missing = append(missing, name)
				}
			}
		}
		if len(missing) == 0 {
			return setOf(files), nil
		}
		if len(files)+len(missing) > maxFiles {
			return nil, errFiles
		}
		if err := r.fetch(ctx, 3, missing, files); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the files import each other deeper than allowed")
}

var errFiles = fmt.Errorf("the service has more than %d files", maxFiles)

func setOf(files map[string]*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorSet {
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range files {
		set.File = append(set.File, f)
	}
	slices.SortFunc(set.File, func(a, b *descriptorpb.FileDescriptorProto) int {
		return slices.Compare([]byte(a.GetName()), []byte(b.GetName()))
	})
	return set
}

// services lists the services, without reflection itself.
func (r *reflector) services(ctx context.Context) (names []string, err error) {
	question := protowire.AppendString(protowire.AppendTag(nil, 7, protowire.BytesType), "*")
	for _, r.path = range reflections {
		names = names[:0]
		err = r.ask(ctx, [][]byte{question}, func(num protowire.Number, b []byte) error {
			if num != 6 {
				return nil
			}
			return eachBytes(b, func(n protowire.Number, service []byte) error {
				if n != 1 || len(names) > maxReflected {
					return nil
				}
				return eachBytes(service, func(n protowire.Number, name []byte) error {
					if n == 1 {
						names = append(names, string(name))
					}
					return nil
				})
			})
		})
		var s *statusError
		if !errors.As(err, &s) || s.Code != exchange.GRPCUnimplemented {
			break
		}
		err = errors.New("the service does not offer server reflection: turn it on there, or give proto: or descriptors: here")
	}
	if err != nil {
		return nil, err
	}
	if len(names) > maxReflected {
		return nil, fmt.Errorf("the service says that it has more than %d services", maxReflected)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == "grpc.reflection.v1.ServerReflection" || name == "grpc.reflection.v1alpha.ServerReflection"
	})
	if len(names) == 0 {
		return nil, errors.New("the service says that it has no services")
	}
	return names, nil
}

// fetch asks for files, by a symbol in them (4) or by name (3), and adds them to
// files. A service whose file can't be had, or is not sound, is passed over: the
// others must not suffer.
func (r *reflector) fetch(ctx context.Context, by protowire.Number, names []string, files map[string]*descriptorpb.FileDescriptorProto) error {
	for part := range slices.Chunk(names, batch) {
		var questions [][]byte
		for _, name := range part {
			questions = append(questions, protowire.AppendString(protowire.AppendTag(nil, by, protowire.BytesType), name))
		}
		err := r.ask(ctx, questions, func(num protowire.Number, b []byte) error {
			if num != 4 {
				return nil // an error about this one
			}
			return eachBytes(b, func(n protowire.Number, file []byte) error {
				if n != 1 {
					return nil
				}
				f := new(descriptorpb.FileDescriptorProto)
				if err := proto.Unmarshal(file, f); err != nil {
					return fmt.Errorf("a descriptor is not valid: %w", err)
				}
				if files[f.GetName()] == nil {
					files[f.GetName()] = f
				}
				if len(files) > maxFiles {
					return errFiles
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return errors.New("the service gives no descriptors")
	}
	return nil
}

// ask makes one call with several questions, and hands the parts of the answers to take.
func (r *reflector) ask(ctx context.Context, questions [][]byte, take func(protowire.Number, []byte) error) error {
	var body []byte
	for _, q := range questions {
		body = AppendFrame(body, q)
	}
	x := (&exchange.Exchange{Client: &exchange.Client{}}).Child(ctx, exchange.Request{
		Method: "POST", Scheme: "http", Authority: []byte(r.authority), Host: []byte(r.authority), Path: []byte(r.path), Target: []byte(r.path),
		Body: exchange.BytesBody(body), Trailers: true,
	})
	defer x.Done()
	x.Request.Header.Add("content-type", "application/grpc")
	x.Request.Header.Add("grpc-accept-encoding", "gzip")
	if err := r.service.Serve(x); err != nil {
		return err
	}
	return r.answers(x, len(questions), take)
}

func (r *reflector) answers(x *exchange.Exchange, most int, take func(protowire.Number, []byte) error) error {
	defer x.DropResponse()
	if err := checkHead(&x.Response); err != nil {
		return err
	}
	if s, ok := readStatus(&x.Response.Header); ok {
		return s.err()
	}
	var frames FrameReader
	if err := frames.Reset(x.Response.Body, maxDescriptors, x.Response.Header.Get("grpc-encoding")); err != nil {
		return err
	}
	for n := 0; ; n++ {
		b, err := frames.Next()
		if err == io.EOF {
			s, ok := readStatus(x.Response.Body.Trailer())
			if !ok {
				return errNoStatus
			}
			return s.err()
		}
		if err != nil {
			return err
		}
		if r.bytes += len(b); n >= most || r.bytes > maxDescriptors {
			return errors.New("the answer to reflection is larger than allowed")
		}
		if err := eachBytes(b, take); err != nil {
			return err
		}
	}
}

// eachBytes calls f for the length-delimited fields of a message.
func eachBytes(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return errWire
		}
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			if err := f(num, v); err != nil {
				return err
			}
		}
		b = b[n+m:]
	}
	return nil
}
