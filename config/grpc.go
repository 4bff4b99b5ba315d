package config

import (
	"strings"
)

// ServiceGRPC is where the methods of a gRPC service are learned from, for routes
// that translate to it.
type ServiceGRPC struct {
	Pos         Pos      `yaml:"-"`
	Reflection  bool     `yaml:"reflection" word:"reflection" doc:"Ask the service itself, by gRPC server reflection. It is what holds when nothing is said."`
	Refresh     Duration `yaml:"refresh" default:"1m" min:"1s" doc:"How often it is asked again."`
	Proto       []string `yaml:"proto" one:"true" doc:".proto files, relative to the folder of this file. They are compiled when the configuration is loaded, and watched."`
	Import      []string `yaml:"import" one:"true" doc:"Folders in which imports of the .proto files are looked for, beside the files' own. google/protobuf, google/api and google/rpc are known anyway."`
	Descriptors string   `yaml:"descriptors" doc:"A descriptor set, as protoc --include_imports --descriptor_set_out or buf build -o writes one."`
}

// Check is the rule of a service's descriptors: one origin, and only one.
func (g *ServiceGRPC) Check(at *At) {
	var said []string
	for _, key := range []string{"proto", "descriptors", "reflection"} {
		if at.Has(key) {
			said = append(said, key)
		}
	}
	if len(said) > 1 {
		at.Problem(said[1], "the methods are learned from one of proto, descriptors, reflection; here there are %s", strings.Join(said, " and "))
	}
	if at.Has("proto") && len(g.Proto) == 0 {
		at.Problem("proto", "names no file")
	}
	if at.Has("descriptors") && g.Descriptors == "" {
		at.Problem("descriptors", "names no file")
	}
	if at.Has("import") && len(g.Proto) == 0 {
		at.Problem("import", "only proto has imports")
	}
	if at.Has("refresh") && (len(g.Proto) > 0 || g.Descriptors != "") {
		at.Problem("refresh", "only reflection is refreshed; files are watched")
	}
}

// RouteGRPC is how requests of a route become calls of gRPC methods.
type RouteGRPC struct {
	Pos     Pos    `yaml:"-"`
	Call    string `yaml:"call" short:"true" default:"annotations" doc:"A method, pkg.Service/Method: every request is a call of it, and the parameters of the path are fields. Or a service, pkg.Service, or annotations (all services): requests are matched by the google.api.http annotations, and methods without one are POST /pkg.Service/Method."`
	CallPos Pos    `yaml:"-"`
	ToREST  string `yaml:"to_rest" doc:"The other way: clients speak gRPC, the service REST. A service, pkg.Service, or annotations (all services): calls of its methods become requests by their google.api.http annotations, and methods without one are POST /pkg.Service/Method with the message as the body. The service needs grpc: {proto: …} or {descriptors: …}."`
	Body    string `yaml:"body" doc:"Of a method: what the body is. \"*\": the message. A name: that field. none: there is no body, and the query has the fields. Default: \"*\", and none for GET, HEAD and DELETE."`
	Reply   string `yaml:"response_body" doc:"Of a method: the field of the answer that is shown. Default: all of it."`
	Fields  []Pair `yaml:"fields" doc:"Of a method: fields that templates over the facts of the request set, whatever the client says, such as tenant: '{jwt.tenant}'."`

	UnknownQuery  string `yaml:"unknown_query" enum:"refuse,ignore" default:"refuse" doc:"What becomes of query parameters that are no field."`
	UnknownFields string `yaml:"unknown_fields" enum:"refuse,ignore" default:"refuse" doc:"What becomes of members of the body that are no field."`

	Names    string `yaml:"names" enum:"json,proto" default:"json" doc:"Names of fields in answers: json (lowerCamelCase) or as in the .proto file. Requests may use both."`
	Enums    string `yaml:"enums" enum:"name,number" default:"name" doc:"How enums are written in answers. Requests may use both."`
	Defaults bool   `yaml:"defaults" doc:"Write fields in answers also when they have their default value."`

	MaxMessage Size `yaml:"max_message" default:"4MiB" min:"1" max:"256MiB" doc:"The largest message, either way."`
	MaxDepth   int  `yaml:"max_depth" default:"64" min:"1" max:"1000" doc:"The deepest nesting of a message."`
	MaxItems   int  `yaml:"max_items" default:"100000" min:"1" doc:"The longest list and the largest map in a message."`
}

// OneMethod reports whether every request is a call of the same method.
func (g *RouteGRPC) OneMethod() bool { return strings.Contains(g.Call, "/") }

// Check is the rule of a translation.
func (g *RouteGRPC) Check(at *At) {
	if at.Has("to_rest") {
		g.checkToREST(at)
		return
	}
	service, method, one := strings.Cut(g.Call, "/")
	if g.Call == "" || !dottedName(service) || one && (!dottedName(method) || strings.Contains(method, ".")) {
		at.Hint("such as shop.v1.Catalog/GetProduct, shop.v1.Catalog, or annotations", "call", "%s is no method and no service", at.Shown("call", g.Call))
	}
	if !one {
		for _, key := range []string{"body", "response_body", "fields"} {
			if at.Has(key) {
				at.Problem(key, "goes with one method, pkg.Service/Method; the annotations say it for others")
			}
		}
	}
	for _, p := range g.Fields {
		if !dottedName(p.Name) {
			at.Problem(strings.TrimPrefix(join("fields", p.Name), "."), "%s is no name of a field", quote(p.Name))
		}
	}
}

// checkToREST is the rule of a translation the other way. What a service that is
// older than its description says on top is passed over if nothing else is said.
func (g *RouteGRPC) checkToREST(at *At) {
	if !dottedName(g.ToREST) {
		at.Hint("such as shop.v1.Catalog, or annotations", "to_rest", "%s is no service", at.Shown("to_rest", g.ToREST))
	}
	for _, key := range []string{"call", "body", "response_body", "fields", "unknown_query"} {
		if at.Has(key) {
			at.Problem(key, "is about requests in REST; with to_rest, calls are gRPC")
		}
	}
	if !at.Has("unknown_fields") {
		g.UnknownFields = "ignore"
	}
}

// dottedName reports whether text is a list of identifiers with dots between them.
func dottedName(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' || strings.ContainsFunc(part, func(r rune) bool { return r >= 0x80 || !wordByte(byte(r)) }) {
			return false
		}
	}
	return true
}
