package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// maxProto is how long a .proto file may be.
const maxProto = 4 << 20

// Compile compiles .proto files. Their imports are looked for in the roots, and
// in the folders of the files themselves; those of google/protobuf, google/api,
// google/rpc and google/type are known anyway. The files that were read are
// returned with an error, too.
func Compile(ctx context.Context, files, roots []string) (*descriptorpb.FileDescriptorSet, []string, error) {
	l := &loader{roots: roots}
	var names []string
	for _, f := range files {
		names = append(names, l.name(f))
	}
	set, err := compileNames(ctx, names, l.open)
	return set, l.read, err
}

// ParseProto makes a schema of the text of one .proto file, which imports only
// what is known anyway.
func ParseProto(name, text string) (*Schema, error) {
	set, err := compileNames(context.Background(), []string{name}, func(asked string) (io.ReadCloser, error) {
		if asked != name {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	})
	if err != nil {
		return nil, err
	}
	return NewSchema(set)
}

// compileNames compiles the files of these names, which open opens.
func compileNames(ctx context.Context, names []string, open func(string) (io.ReadCloser, error)) (*descriptorpb.FileDescriptorSet, error) {
	bundle, err := bundled()
	if err != nil {
		return nil, err
	}
	var errs []error
	c := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{Accessor: open},
			protocompile.ResolverFunc(func(name string) (protocompile.SearchResult, error) {
				if f := bundle[name]; f != nil {
					return protocompile.SearchResult{Proto: f}, nil
				}
				return protocompile.SearchResult{}, fmt.Errorf("%s is in none of the import folders", name)
			}),
		},
		Reporter: reporter.NewReporter(func(err reporter.ErrorWithPos) error {
			errs = append(errs, err)
			if len(errs) >= 10 {
				return err
			}
			return nil
		}, nil),
	}
	out, err := c.Compile(ctx, names...)
	if err == nil {
		err = errors.Join(errs...)
	} else if len(errs) > 0 && errors.Is(err, reporter.ErrInvalidSource) {
		err = errors.Join(errs...)
	}
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, f := range out {
		collect(set, f, seen)
	}
	return set, nil
}

// CompileSchema makes a schema of .proto files. It returns the files that were
// read, also with an error.
func CompileSchema(ctx context.Context, files, roots []string) (*Schema, []string, error) {
	set, read, err := Compile(ctx, files, roots)
	if err != nil {
		return nil, read, err
	}
	s, err := NewSchema(set)
	return s, read, err
}

// collect adds a file and what it imports.
func collect(set *descriptorpb.FileDescriptorSet, f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	imports := f.Imports()
	for i := range imports.Len() {
		collect(set, imports.Get(i).FileDescriptor, seen)
	}
	if r, ok := f.(linker.Result); ok {
		set.File = append(set.File, r.FileDescriptorProto())
		return
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
}

// loader finds files in folders.
type loader struct {
	roots []string

	mu   sync.Mutex // files are compiled side by side
	read []string
}

// name is a file as imports would name it: relative to the root that it is in. A
// file that is in none makes its folder a root.
func (l *loader) name(file string) string {
	for _, root := range l.roots {
		if rel, err := filepath.Rel(root, file); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	dir := filepath.Dir(file)
	if !slices.Contains(l.roots, dir) {
		l.roots = append(l.roots, dir)
	}
	return filepath.Base(file)
}

func (l *loader) open(name string) (io.ReadCloser, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, fmt.Errorf("%s leads out of the import folders: %w", name, fs.ErrNotExist)
	}
	for _, root := range l.roots {
		path := filepath.Join(root, filepath.FromSlash(name))
		s, err := os.Stat(path)
		if err != nil || s.IsDir() {
			continue
		}
		if s.Size() > maxProto {
			return nil, fmt.Errorf("%s is longer than %d bytes", path, maxProto)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		if !slices.Contains(l.read, path) {
			l.read = append(l.read, path)
		}
		l.mu.Unlock()
		return io.NopCloser(strings.NewReader(string(b))), nil
	}
	return nil, fs.ErrNotExist
}
