package config

import (
	"net/netip"
	"time"
)

// Tags that the decoder, the schema and the reference read:
//
//	yaml      the key; "-" is no key
//	doc       its sentence in the reference and the schema
//	default   what holds when the key is absent, written as in the file
//	required  the key must be there
//	enum      the words that are allowed, comma separated (of a list: for each item)
//	min, max  limits of a number, duration, size or percentage, written as in the file
//	short     the struct may be written as this one field alone
//	word      the struct may be written as this word: it sets the (bool) field; word=text sets it to text
//	words     "on", "off" or both are allowed in place of the struct; off is nil, or the field with word off
//	one       a list of one may be written as its item
//	only      of the field that takes policies: the names of those that are allowed
//	key       the field takes the key of a map: a list of such structs is written as a map and keeps its order
//
// A field Pos of type Pos takes the place of the struct, a field XPos the place
// of the value of field X.

// Document is a whole configuration, as written, with defaults filled in.
type Document struct {
	Listeners      []Listener      `yaml:"listen" one:"default" required:"true" doc:"Where clients are accepted: an address, or a map of named listeners."`
	Admin          *Admin          `yaml:"admin" words:"off" doc:"The administrative listener: metrics, health, admin API. Left out: none."`
	TrustedProxies []netip.Prefix  `yaml:"trusted_proxies" one:"true" doc:"Networks whose forwarded headers (X-Forwarded-For, Forwarded) are believed; those of anybody else are replaced."`
	Client         ClientTimeouts  `yaml:"timeouts" doc:"How long a client may take."`
	Limits         Limits          `yaml:"limits" doc:"How much a client may send."`
	Paths          Paths           `yaml:"paths" doc:"How the path of a request is normalised before it is matched."`
	Overload       Overload        `yaml:"overload" doc:"Refuse what can't be served, the least important first. On by default."`
	Reload         Reload          `yaml:"reload" doc:"What happens after a new configuration has come into force."`
	AccessLog      *AccessLog      `yaml:"access_log" words:"off" default:"stdout" doc:"One line for each exchange: stdout, stderr, off, or the path of a file."`
	Traces         *Traces         `yaml:"traces" words:"on" doc:"Distributed traces: where they go, and which. Left out: on where OTEL_EXPORTER_OTLP_ENDPOINT names a collector."`
	Log            Log             `yaml:"log" doc:"The gateway's own log, on stderr."`
	Shutdown       Shutdown        `yaml:"shutdown" doc:"How the gateway stops."`
	Identities     []IdentityBlock `yaml:"identity" doc:"Who may be calling: sources of identity by name, each with one key, its kind. A route names those that it accepts."`
	Services       []Service       `yaml:"services" doc:"What stands behind the gateway, by name."`
	Store          *Store          `yaml:"store" words:"off" doc:"Where replicas keep what they share: limits, and API keys, certificates and session ticket keys that are to be there. Redis or Valkey. Left out: each replica keeps its own limits, in memory."`
	Routes         []Route         `yaml:"routes" doc:"Which requests go where. The order has no meaning: the most specific route wins."`
	Policies       []PolicyBlock   `yaml:"policies" doc:"Named blocks of policies that routes share with use."`
	Tests          []Test          `yaml:"tests" doc:"Requests and what must become of them, for gopura test; nothing of it is served."`
	Defaults       []Policy        `yaml:"defaults" doc:"Policies of every route; a route's own policy of the same name takes its place."`

	Pos      map[string]Pos `yaml:"-"` // places of the top-level keys
	Referred []string       `yaml:"-"` // paths of the files that ${file:…} named

	problems *Problems
	places   map[string]Pos // path of a value to its place
	origin   *Origin
}

// Listener is an address where clients are accepted.
type Listener struct {
	Pos      Pos            `yaml:"-"`
	Name     string         `yaml:"-" key:"listener"`
	Address  string         `yaml:"address" short:"true" required:"true" doc:"host:port or :port."`
	TLS      *TLS           `yaml:"tls" words:"off" doc:"Serve TLS; left out: cleartext."`
	Redirect *ToHTTPS       `yaml:"redirect" doc:"https: answer every request with a redirect to the same address over https. Only for cleartext."`
	Proxies  []netip.Prefix `yaml:"proxy_protocol" one:"true" doc:"Addresses and networks of balancers in front that pass connections on and say whom they are from: the PROXY protocol, version 1 or 2, on every connection. Everybody else connects as usual."`
	HTTP     []string       `yaml:"http" one:"true" enum:"1.1,2,3" default:"1.1,2" doc:"The HTTP versions that are offered. Version 2 over cleartext needs prior knowledge. Version 3 is served over UDP on the same port, and needs tls."`
}

// Admin is the administrative listener.
type Admin struct {
	Pos     Pos      `yaml:"-"`
	Address string   `yaml:"address" short:"true" default:"127.0.0.1:9900" doc:"host:port."`
	Token   Secret   `yaml:"token" doc:"The bearer token that every request but the probes must carry. Left out: only requests from this machine are served."`
	Hosts   []string `yaml:"hosts" one:"true" doc:"Further Host names that are accepted, beside the address and localhost."`
	Console bool     `yaml:"console" default:"true" doc:"Serve the web console at /console/. Its files need no token; what they show does."`
}

// ClientTimeouts is how long a client may take.
type ClientTimeouts struct {
	Pos   Pos      `yaml:"-"`
	Head  Duration `yaml:"head" default:"10s" doc:"To send the head of a request, from its first byte."`
	Body  Duration `yaml:"body" default:"30s" doc:"Between two pieces of a request body."`
	Idle  Duration `yaml:"idle" default:"75s" doc:"Without a request on a connection that is kept open."`
	Write Duration `yaml:"write" default:"30s" doc:"To take a piece of the response."`
}

// Limits is how much a client may send.
type Limits struct {
	Pos         Pos  `yaml:"-"`
	Head        Size `yaml:"head" default:"32KiB" min:"1KiB" max:"16MiB" doc:"Bytes of a request head."`
	Fields      int  `yaml:"fields" default:"100" min:"1" doc:"Header fields of a request."`
	Target      Size `yaml:"target" default:"8KiB" min:"64" doc:"Bytes of a request target (path and query)."`
	Body        Size `yaml:"body" default:"0" doc:"Bytes of a request body; 0 is no limit."`
	Connections int  `yaml:"connections" default:"0" min:"0" doc:"Open client connections; 0 is no limit."`

	TunnelIdle time.Duration `yaml:"tunnel_idle" default:"1h" min:"0" doc:"How long nothing may go through a tunnel, such as a WebSocket, whose route does not say it with websocket; 0: for ever."`
}

// Paths is how the path of a request is normalised.
type Paths struct {
	Pos          Pos    `yaml:"-"`
	EncodedSlash string `yaml:"encoded_slash" enum:"refuse,keep" default:"refuse" doc:"What to do with %2F and %5C in a path."`
	MergeSlashes bool   `yaml:"merge_slashes" default:"true" doc:"Treat // as /."`
}

// AccessLog is where the access records go.
type AccessLog struct {
	Pos    Pos    `yaml:"-"`
	To     string `yaml:"to" short:"true" default:"stdout" doc:"stdout, stderr, or the path of a file (reopened on SIGHUP)."`
	Format string `yaml:"format" enum:"json,text" default:"json" doc:"How a record is written."`
}

// Log is the gateway's own log.
type Log struct {
	Pos    Pos    `yaml:"-"`
	Level  string `yaml:"level" short:"true" enum:"debug,info,warn,error" default:"info" doc:"The least important records that are written."`
	Format string `yaml:"format" enum:"text,json" default:"text" doc:"How a record is written."`
}

// Shutdown is how the gateway stops.
type Shutdown struct {
	Pos   Pos      `yaml:"-"`
	Delay Duration `yaml:"delay" default:"0" doc:"How long to go on accepting after the signal, while /readyz says 503, so that load balancers notice first."`
	Grace Duration `yaml:"grace" default:"30s" doc:"How long exchanges in flight may then take to end."`
}

// IdentityBlock is a named source of identity. It is written as a map whose one key
// is the kind, or as the kind alone when that needs no settings.
type IdentityBlock struct {
	Pos  Pos
	Name string
	Kind string
	Spec any // what PolicyKind.New returned, filled in
}

// PolicyBlock is a named set of policies that routes share.
type PolicyBlock struct {
	Pos      Pos      `yaml:"-"`
	Name     string   `yaml:"-" key:"block"`
	Policies []Policy `yaml:"-"`
}

// Policy is one policy as set on a route, in a block or for all routes.
type Policy struct {
	Pos  Pos
	Name string
	Spec any  // what PolicyKind.New returned, filled in; nil: it is off
	Off  bool `json:",omitempty"` // a policy of that name that would hold otherwise does not
}

// Pair is a name and a text, for maps whose order matters.
type Pair struct {
	Pos   Pos    `yaml:"-"`
	Name  string `yaml:"-" key:"name"`
	Value string `yaml:"value" short:"true" required:"true" doc:"The text."`
}
