package gateway

import (
	"fmt"

	"gopura/config"
	"gopura/exchange"
	"gopura/transcode"
)

// toREST compiles the translation of a route whose clients speak gRPC to a
// service that speaks REST.
func (c *compiler) toREST(r *config.Route, svc *service, conf *config.Service, path string) (exchange.Handler, bool) {
	g := r.GRPC
	if conf.GRPC == nil || len(conf.GRPC.Proto) == 0 && conf.GRPC.Descriptors == "" {
		c.doc.Add(config.Problem{
			Pos: g.Pos, Path: path + ".grpc.to_rest", Message: fmt.Sprintf("it is not known what the methods of %q are", svc.name),
			Hint: "give the service grpc: {proto: catalog.proto} or grpc: {descriptors: catalog.pb}: one that speaks REST can't be asked",
		})
		return nil, false
	}
	known := c.schemaOf(svc, conf)
	if known == nil {
		return nil, false
	}
	o := transcode.RESTOptions{
		Name: svc.name, Source: known, Service: svc.entry,
		JSON: transcode.JSONOptions{
			ProtoNames: g.Names == "proto", Defaults: g.Defaults, EnumNumbers: g.Enums == "number", IgnoreUnknown: g.UnknownFields == "ignore",
		},
		Limits: transcode.Limits{Message: int(g.MaxMessage), Depth: g.MaxDepth, Items: g.MaxItems},
	}
	if g.ToREST != "annotations" {
		o.Services = []string{g.ToREST}
	}
	h := transcode.NewToREST(o)
	faults, err := h.Check()
	for _, f := range faults {
		c.doc.Warn(g.Pos, path+".grpc.to_rest", "%s", f)
	}
	if err != nil {
		c.doc.Problem(g.Pos, path+".grpc.to_rest", "%v", err)
		return nil, false
	}
	return h, true
}
