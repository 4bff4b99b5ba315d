package transcode

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Schema is what is known of a service: its methods, and the messages that they
// take and return. It does not change; what Message and Method make is made
// once.
type Schema struct {
	files    *protoregistry.Files
	services []protoreflect.ServiceDescriptor // by name
	shapes   *shapes
	digest   [32]byte
	google   *Schema // what may stand in the details of a status; nil: s is it
}

const (
	maxFiles       = 2048
	maxDescriptors = 32 << 20 // bytes of all files together
	maxMethods     = 10_000
)

// NewSchema makes a schema of files in any order. Well-known types and those of
// google/api, google/rpc and google/type need not be among them.
func NewSchema(set *descriptorpb.FileDescriptorSet) (*Schema, error) {
	google, err := Bundled()
	if err != nil {
		return nil, err
	}
	s, err := newSchema(set)
	if err != nil {
		return nil, err
	}
	s.google = google
	return s, nil
}

func newSchema(set *descriptorpb.FileDescriptorSet) (*Schema, error) {
	if len(set.File) == 0 {
		return nil, errors.New("there are no descriptors")
	}
	if len(set.File) > maxFiles {
		return nil, fmt.Errorf("there are %d files, more than %d", len(set.File), maxFiles)
	}
	own := map[string]bool{}
	for _, f := range set.File {
		own[f.GetName()] = true
	}
	all := &descriptorpb.FileDescriptorSet{File: slices.Clone(set.File)}
	bundle, err := bundled()
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(all.File); i++ { // what is imported and missing, and what that imports
		for _, name := range all.File[i].GetDependency() {
			if f := bundle[name]; f != nil && !own[name] {
				own[name] = true
				all.File = append(all.File, f)
			}
		}
	}
	files, err := build(all)
	if err != nil {
		return nil, err
	}
	s := &Schema{files: files, shapes: newShapes()}
	methods := 0
	for _, f := range set.File {
		fd, err := files.FindFileByPath(f.GetName())
		if err != nil {
			return nil, err
		}
		for i := range fd.Services().Len() {
			s.services = append(s.services, fd.Services().Get(i))
			methods += fd.Services().Get(i).Methods().Len()
		}
	}
	if methods > maxMethods {
		return nil, fmt.Errorf("there are %d methods, more than %d", methods, maxMethods)
	}
	slices.SortFunc(s.services, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	s.digest, err = digestOf(set)
	return s, err
}

// ParseSchema makes a schema of a descriptor set.
func ParseSchema(b []byte) (*Schema, error) {
	set, err := parseSet(b)
	if err != nil {
		return nil, err
	}
	return NewSchema(set)
}

// Digest is equal for schemas that say the same.
func (s *Schema) Digest() string { return fmt.Sprintf("%x", s.digest) }

// build links the files. Descriptors come from outside: what the library does
// not check must not end the process.
func build(set *descriptorpb.FileDescriptorSet) (files *protoregistry.Files, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the descriptors are not sound: %v", p)
		}
	}()
	return protodesc.NewFiles(set)
}

// digestOf is equal for sets that say the same.
func digestOf(set *descriptorpb.FileDescriptorSet) (sum [32]byte, err error) {
	sorted := slices.Clone(set.File)
	slices.SortFunc(sorted, func(a, b *descriptorpb.FileDescriptorProto) int { return strings.Compare(a.GetName(), b.GetName()) })
	h := sha256.New()
	for _, f := range sorted {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
		if err != nil {
			return sum, err
		}
		fmt.Fprintf(h, "%d ", len(b))
		h.Write(b)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// parseSet reads a FileDescriptorSet, as protoc and buf write one.
func parseSet(b []byte) (*descriptorpb.FileDescriptorSet, error) {
	if len(b) > maxDescriptors {
		return nil, fmt.Errorf("a descriptor set has at most %d bytes, this one has %d", maxDescriptors, len(b))
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(b, set); err != nil || len(set.File) == 0 {
		return nil, errors.New("is no descriptor set: expected what protoc --descriptor_set_out or buf build -o writes")
	}
	return set, nil
}

// google.pb holds google/api, google/rpc and google/type, and the well-known
// types; see bundle_test.go.
//
//go:embed google.pb
var googlePB []byte

// bundled returns the files that need not be given, by name.
func bundled() (map[string]*descriptorpb.FileDescriptorProto, error) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(googlePB, set); err != nil {
		return nil, fmt.Errorf("google.pb: %w", err)
	}
	m := make(map[string]*descriptorpb.FileDescriptorProto, len(set.File))
	for _, f := range set.File {
		m[f.GetName()] = f
	}
	return m, nil
}

// Bundled returns the schema of the files that every schema may import.
func Bundled() (*Schema, error) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(googlePB, set); err != nil {
		return nil, fmt.Errorf("google.pb: %w", err)
	}
	return newSchema(set)
}

// Services returns the full names of the services.
func (s *Schema) Services() (names []string) {
	for _, d := range s.services {
		names = append(names, string(d.FullName()))
	}
	return names
}

// Files returns the descriptors, for those that show them to others.
func (s *Schema) Files() *protoregistry.Files { return s.files }

// Service returns the descriptor of a service, or nil.
func (s *Schema) Service(name string) protoreflect.ServiceDescriptor {
	d, _ := s.files.FindDescriptorByName(protoreflect.FullName(name))
	sd, _ := d.(protoreflect.ServiceDescriptor)
	return sd
}

// Method is a method of a schema.
type Method struct {
	Desc                           protoreflect.MethodDescriptor
	Path                           string // /pkg.Service/Method
	Input, Output                  Message
	ClientStreaming, ServerStreams bool
}

// Method returns a method by pkg.Service/Method, with or without a slash in front.
func (s *Schema) Method(name string) (*Method, error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok {
		return nil, fmt.Errorf("%q is no method: pkg.Service/Method is expected", name)
	}
	sd := s.Service(service)
	if sd == nil {
		return nil, fmt.Errorf("there is no service %s%s", service, among(s.Services()))
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	if md == nil {
		var names []string
		for i := range sd.Methods().Len() {
			names = append(names, string(sd.Methods().Get(i).Name()))
		}
		return nil, fmt.Errorf("the service %s has no method %s%s", service, method, among(names))
	}
	return s.method(md), nil
}

func (s *Schema) method(md protoreflect.MethodDescriptor) *Method {
	return &Method{
		Desc: md, Path: "/" + string(md.Parent().FullName()) + "/" + string(md.Name()),
		Input: Message{s.shapes.of(md.Input())}, Output: Message{s.shapes.of(md.Output())},
		ClientStreaming: md.IsStreamingClient(), ServerStreams: md.IsStreamingServer(),
	}
}

// among lists what there is instead.
func among(names []string) string {
	if len(names) == 0 {
		return ""
	}
	const most = 8
	more := ""
	if len(names) > most {
		names, more = names[:most], ", …"
	}
	return "; there are " + strings.Join(names, ", ") + more
}

func (s *Schema) message(name string) protoreflect.MessageDescriptor {
	d, _ := s.files.FindDescriptorByName(protoreflect.FullName(name))
	md, _ := d.(protoreflect.MessageDescriptor)
	return md
}

// FindMessageByName implements the resolver of protojson, for Any.
func (s *Schema) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	d, err := s.files.FindDescriptorByName(name)
	if err != nil {
		return nil, err
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, protoregistry.NotFound
	}
	return dynamicpb.NewMessageType(md), nil
}

// FindMessageByURL implements the resolver of protojson.
func (s *Schema) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if i := strings.LastIndexByte(url, '/'); i >= 0 {
		url = url[i+1:]
	}
	return s.FindMessageByName(protoreflect.FullName(url))
}

// FindExtensionByName implements the resolver of protojson.
func (s *Schema) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	d, err := s.files.FindDescriptorByName(name)
	if err != nil {
		return nil, err
	}
	if xd, ok := d.(protoreflect.ExtensionDescriptor); ok && xd.IsExtension() {
		return dynamicpb.NewExtensionType(xd), nil
	}
	return nil, protoregistry.NotFound
}

// FindExtensionByNumber implements the resolver of protojson.
func (s *Schema) FindExtensionByNumber(message protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return dynamicpb.NewTypes(s.files).FindExtensionByNumber(message, n)
}
