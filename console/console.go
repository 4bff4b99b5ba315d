package console

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
)

// Root is the path that all files are below, and that of the first page.
const Root = "/console/"

// CSP is the Content-Security-Policy of every file: scripts and styles are files
// of the console, and no text ever becomes markup.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

//go:embed ui
var embedded embed.FS

// File is what is served at a path. It does not change.
type File struct {
	Type string
	ETag string
	Body []byte
}

// Files are the files of the console by their exact path.
type Files struct{ byPath map[string]*File }

// types are the media types of the files, by the end of their name.
var types = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

// New reads the embedded files.
func New() *Files {
	f := &Files{map[string]*File{}}
	err := fs.WalkDir(embedded, "ui", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		kind := types[path.Ext(name)]
		if kind == "" {
			return fmt.Errorf("%s: no media type", name)
		}
		sum := sha256.Sum256(body)
		f.byPath[Root+name[len("ui/"):]] = &File{kind, `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`, body}
		return nil
	})
	if err != nil {
		panic(err) // the binary was built wrong; a test sees it first
	}
	f.byPath[Root] = f.byPath[Root+"index.html"]
	delete(f.byPath, Root+"index.html")
	return f
}

// At returns the file at a path, or nil.
func (f *Files) At(path string) *File { return f.byPath[path] }
