package gateway

import (
	"errors"
	"path/filepath"
	"slices"

	"gopura/config"
)

var errNotYet = errors.New("there is no configuration in force yet")

// Checked is what can be said of texts that somebody wants to put in force.
type Checked struct {
	Document *config.Document // nil: it could not be read
	Err      error            // what is wrong, usually a *config.Problems
	Unknown  []string         // references that were not looked up
	Unread   []string         // files that were not looked at: then it has not been compiled
}

// CheckTexts checks texts as a change of the configuration in force, which they
// can't use to look around: of the environment and of files they see what the
// configuration in force names, and nothing else. A name counts by its last
// element, and is taken to be beside the files in force.
func (g *Gateway) CheckTexts(texts []config.Source) Checked {
	current := g.current.Get()
	if current == nil {
		return Checked{Err: errNotYet}
	}
	doc := current.Value.doc
	names := doc.Origin().Names()
	for i := range texts {
		base := filepath.Base(filepath.Clean("/" + texts[i].Name))
		texts[i].Name = filepath.Join(filepath.Dir(names[0]), base)
	}
	next, unknown, err := doc.Origin().Try(texts)
	c := Checked{Document: next, Err: err, Unknown: unknown}
	if err != nil {
		return c
	}
	if c.Unread = unnamed(doc, g.Files(), next); len(c.Unread) > 0 {
		return c
	}
	s, err := New(Options{}).compile(next, true)
	if err != nil {
		c.Err = err
		return c
	}
	s.scope.Close()
	return c
}

// unnamed returns the files of next that the configuration in force does not name.
func unnamed(doc *config.Document, known []string, next *config.Document) (list []string) {
	for _, f := range filesOf(next) {
		if !slices.Contains(known, f) && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	described := map[string]bool{} // folders of imports lead anywhere: they have to be the same as a whole
	for i := range doc.Services {
		described[descriptionOf(&doc.Services[i])] = true
	}
	for i := range next.Services {
		if d := descriptionOf(&next.Services[i]); d != "" && !described[d] {
			list = append(list, d)
		}
	}
	if s := next.Store; s != nil && s.TLS != nil && (doc.Store == nil || len(config.Compare(doc.Store.TLS, s.TLS)) > 0) {
		list = append(list, "those of store.tls")
	}
	return list
}

// descriptionOf names the files that describe a gRPC service.
func descriptionOf(s *config.Service) string {
	g := s.GRPC
	if g == nil || len(g.Proto) == 0 && g.Descriptors == "" {
		return ""
	}
	text := "of the gRPC service " + s.Name + ":"
	for _, f := range append(append(slices.Clone(g.Proto), g.Import...), g.Descriptors) {
		text += " " + f
	}
	return text
}
