package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopura/compose"
	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/route"
	"gopura/transcode"
)

// schema is what is known of a gRPC service: from files at once, by reflection
// when the service runs.
type schema struct {
	source  *transcode.Source // nil: not yet
	reflect bool
	files   []string // to watch
}

// Schema implements transcode.Schemas.
func (s *schema) Schema() *transcode.Schema {
	if s.source == nil {
		return nil
	}
	return s.source.Schema()
}

// Fault implements transcode.Schemas.
func (s *schema) Fault() error {
	if s.source == nil {
		return nil
	}
	return s.source.Fault()
}

// Refresh implements transcode.Schemas.
func (s *schema) Refresh() {
	if s.source != nil {
		s.source.Refresh()
	}
}

// schemaOf returns what is known of a service, and reads its files the first
// time. It is nil when they have a problem, which the document then has.
func (c *compiler) schemaOf(svc *service, conf *config.Service) *schema {
	if svc.schema != nil || svc.schemaFault {
		return svc.schema
	}
	g := conf.GRPC
	if g == nil || len(g.Proto) == 0 && g.Descriptors == "" {
		svc.schema = &schema{reflect: true}
		return svc.schema
	}
	path := "services." + conf.Name + ".grpc"
	s := &schema{}
	known, err := readDescriptors(g, s)
	if err == nil {
		s.source, err = c.holdSchema(known)
	}
	if err != nil {
		svc.schemaFault = true
		key := ".descriptors"
		if len(g.Proto) > 0 {
			key = ".proto"
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			c.doc.Problem(g.Pos, path+key, "%s", line)
		}
		return nil
	}
	svc.schema = s
	return s
}

// readDescriptors reads the files that describe a service.
func readDescriptors(g *config.ServiceGRPC, s *schema) (*transcode.Schema, error) {
	dir := filepath.Dir(g.Pos.File)
	abs := func(list []string) (out []string) {
		for _, f := range list {
			if !filepath.IsAbs(f) {
				f = filepath.Join(dir, f)
			}
			out = append(out, f)
		}
		return out
	}
	if g.Descriptors != "" {
		s.files = abs([]string{g.Descriptors})
		b, err := os.ReadFile(s.files[0])
		if err != nil {
			return nil, err
		}
		return transcode.ParseSchema(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	known, read, err := transcode.CompileSchema(ctx, abs(g.Proto), abs(g.Import))
	s.files = append(abs(g.Proto), read...)
	return known, err
}

// holdSchema adopts the schema of a configuration that said the same.
func (c *compiler) holdSchema(s *transcode.Schema) (*transcode.Source, error) {
	return lifetime.Hold(&c.g.pool, c.s.scope, "grpc_schema "+s.Digest(), func() (*transcode.Source, func(), error) {
		return transcode.Fixed(s), nil, nil
	})
}

// watchSchema starts to ask a service for its schema, or goes on.
func (c *compiler) watchSchema(svc *service, p *servicePlan) error {
	s := svc.schema
	if s == nil || !s.reflect {
		return nil
	}
	refresh := time.Minute
	if g := p.conf.GRPC; g != nil {
		refresh = g.Refresh
	}
	log := c.g.log.With("service", svc.name)
	var err error
	s.source, err = lifetime.Hold(&c.g.pool, c.s.scope, fmt.Sprintf("grpc_reflection %v %s", refresh, p.fingerprint()), func() (*transcode.Source, func(), error) {
		src := transcode.Watch(svc.Service, transcode.ReflectOptions{
			Authority: svc.name, Refresh: refresh, Last: c.g.lastSchema(svc.name),
			Changed: func(n *transcode.Schema) {
				log.Info("gRPC methods learned by reflection", "services", strings.Join(n.Services(), " "))
			},
			Failed: func(err error) { log.Warn("gRPC reflection fails; what is known stays", "error", err) },
		})
		return src, src.Close, nil
	})
	return err
}

// awaitSchemas gives services a moment to say what their methods are, so that
// the first requests after a start find them. A service that is not there delays
// nothing for longer.
func (c *compiler) awaitSchemas() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, svc := range c.s.services {
		if svc.schema != nil && svc.schema.source != nil {
			svc.schema.source.Await(ctx)
		}
	}
}

// lastSchema is what the configuration in force knows of a service.
func (g *Gateway) lastSchema(name string) *transcode.Schema {
	h := g.current.Enter()
	if h == nil {
		return nil
	}
	defer h.Leave()
	for _, svc := range h.Value.services {
		if svc.name == name && svc.schema != nil && svc.schema.reflect {
			return svc.schema.Schema()
		}
	}
	return nil
}

// transcoder compiles the translation of a route to one of its services.
func (c *compiler) transcoder(r *config.Route, svc *service, path string) (exchange.Handler, bool) {
	conf := c.serviceConf(svc.name)
	if r.GRPC.ToREST != "" {
		return c.toREST(r, svc, conf, path)
	}
	if !speaksHTTP2(conf) {
		c.doc.Add(config.Problem{
			Pos: r.GRPC.Pos, Path: path + ".grpc", Message: fmt.Sprintf("the service %q is not spoken to in HTTP/2, which gRPC needs", svc.name),
			Hint: "write its targets as grpc://host:port or grpcs://host:port",
		})
		return nil, false
	}
	known := c.schemaOf(svc, conf)
	if known == nil {
		return nil, false
	}
	g := r.GRPC
	o := transcode.Options{
		Name: svc.name, Source: known, Service: svc.entry, Body: g.Body, Response: g.Reply,
		JSON: transcode.JSONOptions{
			ProtoNames: g.Names == "proto", Defaults: g.Defaults, EnumNumbers: g.Enums == "number", IgnoreUnknown: g.UnknownFields == "ignore",
		},
		Limits:      transcode.Limits{Message: int(g.MaxMessage), Depth: g.MaxDepth, Items: g.MaxItems},
		WebSocket:   slices.ContainsFunc(c.policies(r), func(p config.Policy) bool { return p.Name == "websocket" }),
		IgnoreQuery: g.UnknownQuery == "ignore",
	}
	switch {
	case g.OneMethod():
		o.Call = g.Call
		if r.Match.Path != "" {
			o.Params = route.Params(r.Match.Path)
		}
	case g.Call != "annotations":
		o.Services = []string{g.Call}
	}
	env := c.routeEnv(r)
	for _, f := range g.Fields {
		t, err := env.Template(f.Value)
		if err != nil {
			c.exprProblem(f.Pos, path+".grpc.fields."+f.Name, f.Value, err)
			return nil, false
		}
		o.Fields = append(o.Fields, transcode.FieldValue{Field: f.Name, Value: t})
	}
	h := transcode.New(o)
	faults, err := h.Check()
	pos := g.CallPos
	if pos == (config.Pos{}) {
		pos = g.Pos
	}
	for _, f := range faults {
		c.doc.Warn(pos, path+".grpc", "%s", f)
	}
	if err != nil {
		c.doc.Problem(pos, path+".grpc.call", "%v", err)
		return nil, false
	}
	return h, true
}

// grpcMethod returns a handler that calls one method of a service: it takes and
// gives JSON. Aggregations call methods by it.
func (c *compiler) grpcMethod(name, method string) (compose.Method, error) {
	svc, conf := c.services[name], c.serviceConf(name)
	if svc == nil || svc.entry == nil || conf == nil {
		return nil, fmt.Errorf("there is no service %q", name)
	}
	if !speaksHTTP2(conf) {
		return nil, fmt.Errorf("the service %q is not spoken to in HTTP/2, which gRPC needs", name)
	}
	known := c.schemaOf(svc, conf)
	if known == nil {
		return nil, errors.New("its descriptors have a problem")
	}
	h := transcode.New(transcode.Options{Name: name, Source: known, Service: svc.entry, Call: method, Body: "*"})
	_, err := h.Check()
	return h, err
}

func (c *compiler) serviceConf(name string) *config.Service {
	for i := range c.doc.Services {
		if c.doc.Services[i].Name == name {
			return &c.doc.Services[i]
		}
	}
	return nil
}

// speaksHTTP2 reports whether all targets of a service are spoken to in HTTP/2.
func speaksHTTP2(s *config.Service) bool {
	for _, t := range s.Targets {
		scheme, _, _ := strings.Cut(t.URL, ":")
		if s.HTTP != "2" && scheme != "grpc" && scheme != "grpcs" && scheme != "h2c" {
			return false
		}
	}
	return true
}
