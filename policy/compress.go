package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

const compressDoc = "Compresses answers with zstd, br or gzip, as the client's Accept-Encoding allows: those of types that are worth it, and not the ones that the service has encoded, " +
	"that say no-transform, or that are a part. Their ETag becomes a weak one, and Vary says Accept-Encoding. Streams are compressed as they flow."

// Compress is the settings of compress.
type Compress struct {
	Pos     config.Pos  `yaml:"-"`
	On      bool        `yaml:"-" word:"on"`
	Codings []string    `yaml:"codings" short:"true" one:"true" enum:"zstd,br,gzip" default:"zstd,br,gzip" doc:"Which ones, the preferred one first; a client that weighs them decides."`
	Types   []string    `yaml:"types" one:"true" doc:"Content types: text/html, text/*, application/*+json. Left out: text/*, JSON, XML, JavaScript, SVG, WebAssembly, fonts that are not compressed."`
	MinSize config.Size `yaml:"min_size" default:"1KiB" min:"0" max:"64MiB" doc:"Smaller answers are left as they are. One whose size is not known is compressed."`
	Level   string      `yaml:"level" enum:"fast,default,best" default:"default" doc:"fast: gzip 1, br 1, zstd 1; default: 5, 4 and 2; best: 9, 9 and 3, for what a cache keeps."`
}

// compressible are the types that are worth it where the file doesn't say.
var compressible = []string{
	"text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "application/javascript",
	"application/x-javascript", "application/ecmascript", "application/x-ndjson", "application/ndjson", "application/jsonl",
	"application/graphql-response+json", "application/wasm", "application/yaml", "application/toml", "application/sql", "application/rtf",
	"image/svg+xml", "image/bmp", "image/vnd.microsoft.icon", "image/x-icon", "font/ttf", "font/otf", "application/vnd.ms-fontobject",
}

// Compile implements Spec.
func (s *Compress) Compile(*Env) (exchange.Middleware, error) {
	c := &compressor{minSize: int64(s.MinSize)}
	texts := s.Types
	if len(texts) == 0 {
		texts = compressible
	}
	var faults []error
	for _, text := range texts {
		m, err := parseMediaType(text)
		if err == nil && strings.HasPrefix(strings.ToLower(text), "application/grpc") {
			err = errors.New("gRPC has a compression of its own")
		}
		if err != nil {
			faults = append(faults, &Fault{Path: "types", Pos: s.Pos, Err: err})
		}
		c.types = append(c.types, m)
	}
	for _, name := range s.Codings {
		p := encoderPools(name, s.Level)
		if p == nil {
			faults = append(faults, &Fault{Path: "codings", Pos: s.Pos, Err: fmt.Errorf("no such coding: %q", name)})
		}
		c.pools = append(c.pools, p)
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if err := next.Serve(x); err != nil {
				return err
			}
			c.compress(x)
			return nil
		})
	}, nil
}

// compressor is a compiled compress policy.
type compressor struct {
	types   []mediaType
	pools   []*encoderPool // the preferred one first
	minSize int64
}

// compress compresses the answer of x if that is to be.
func (c *compressor) compress(x *exchange.Exchange) {
	r := &x.Response
	if !c.worth(r) {
		return
	}
	accepts := exchange.AcceptEncoding(&x.Request.Header)
	p := c.choose(&accepts)
	varies := !r.Header.HasToken("Vary", "accept-encoding") && !r.Header.HasToken("Vary", "*")
	if varies { // also where it is left as it is: another client would be given it in another form
		r.Header.Add("Vary", "Accept-Encoding")
	}
	if p == nil {
		return
	}
	weaken(x)
	if r.Status == 304 { // it speaks of the answer that the client has
		return
	}
	r.Header.Del("Accept-Ranges") // ranges of what is not sent
	r.Header.Add("Content-Encoding", p.coding.String())
	r.Header.Del("Content-Digest") // RFC 9530: of the bytes that are sent
	r.Header.Del("Content-Md5")
	if x.Request.Method == "HEAD" {
		r.Body.Close()
		r.Body = exchange.Unread(-1)
		return
	}
	body := &compressed{from: r.Body, pool: p, stream: r.Body.Len() < 0}
	x.OnDone(func(*exchange.Exchange) { body.release() })
	r.Body = body
}

// worth reports whether an answer would be compressed for a client that asks for it.
func (c *compressor) worth(r *exchange.Response) bool {
	switch {
	case r.Status < 200, r.Status == 204, r.Status == 205, r.Status == 206, r.Tunnel != nil, r.Body == nil:
		return false
	case r.Status == 304:
		return r.Header.Has("Etag") // that of its answer may have been weakened
	case r.Body.Len() == 0, r.Body.Len() > 0 && r.Body.Len() < c.minSize:
		return false
	case r.Header.Has("Content-Encoding"), r.Header.Has("Content-Range"):
		return false
	case r.Header.HasToken("Cache-Control", "no-transform"): // RFC 9111 §5.2.2.6
		return false
	}
	if kind := r.Header.Get("Content-Type"); ownCompression(kind) {
		return false
	}
	return takes(c.types, &r.Header)
}

// ownCompression reports whether messages of a type are compressed one by one:
// gRPC, gRPC-Web, and the streams of Connect.
func ownCompression(kind []byte) bool {
	for _, s := range []string{"application/grpc", "application/connect+"} {
		if len(kind) >= len(s) && exchange.EqualFold(kind[:len(s)], s) {
			return true
		}
	}
	return false
}

// choose returns the coding that the client weighs most, of equal ones the
// preferred; nil: none that is wanted more than the answer as it is.
func (c *compressor) choose(a *exchange.Codings) (best *encoderPool) {
	if !a.Present {
		return nil
	}
	most := 0
	if w := a.Weight(exchange.Plain); w > 1 { // it says so itself
		most = w - 1
	}
	for _, p := range c.pools {
		if w := a.Weight(p.coding); w > most {
			best, most = p, w
		}
	}
	return best
}

// weaken makes the entity tag a weak one: bytes are no longer the same
// (RFC 9110 §8.8.1).
func weaken(x *exchange.Exchange) {
	h := &x.Response.Header
	tag := h.Get("Etag")
	if len(tag) == 0 || bytes.HasPrefix(tag, []byte("W/")) {
		return
	}
	h.SetBytes("ETag", append(append(x.Arena.Grow(len(tag)+2), "W/"...), tag...))
}
