package config

// Route is one kind of request and what becomes of it.
type Route struct {
	Pos           Pos          `yaml:"-"`
	Name          string       `yaml:"name" doc:"Its name in logs, metrics and explanations. Default: the text of match."`
	Match         Match        `yaml:"match" required:"true" doc:"The requests that it takes, as \"[METHOD[|METHOD]… ][host]/path\" or in parts."`
	Priority      int          `yaml:"priority" doc:"Higher goes before more specific."`
	To            []Split      `yaml:"to" one:"true" doc:"The service that answers, or several with weights."`
	GRPC          *RouteGRPC   `yaml:"grpc" doc:"Translate: requests are REST and JSON, the service speaks gRPC."`
	Speaks        *RouteSpeaks `yaml:"speaks" doc:"The protocols that clients may speak to gRPC services: grpc, grpc-web, connect. Default: all where the targets are grpc or grpcs; where they are of another kind, nothing is turned into gRPC."`
	Reflection    []string     `yaml:"reflection" one:"true" doc:"Answer gRPC server reflection for these services: clients are told of the methods that they reach through routes, and of no others. Match POST /{version}/ServerReflectionInfo."`
	Redirect      *Redirect    `yaml:"redirect" doc:"Answer with a redirect."`
	Answer        *Answer      `yaml:"answer" doc:"Answer without asking anybody."`
	Compose       []Call       `yaml:"compose" doc:"One answer from several services: calls by name. Each is made as soon as what it refers to is there."`
	Respond       *Respond     `yaml:"respond" doc:"How the answer is made of the results of compose. Default: an object with one member for each call."`
	Timeout       Duration     `yaml:"timeout" doc:"From the end of the request head to the end of the response; 0 is no limit. With compose, where it is not set: 30s."`
	Importance    string       `yaml:"importance" default:"normal" doc:"Who is refused last under overload: critical, normal, low or background; or an expression over the facts of the request that says one of them."`
	ImportancePos Pos          `yaml:"-"`
	Use           []string     `yaml:"use" one:"true" doc:"Blocks of policies, by name; the route's own policies take precedence, then later blocks."`
	Policies      []Policy     `yaml:"-"`
}

// Match is the condition of a route.
type Match struct {
	Pos     Pos          `yaml:"-"`
	Text    string       `yaml:"-" short:"true"` // as written, references unresolved, or put together from the parts: a name, nothing to match by
	Hosts   []string     `yaml:"host" one:"true" doc:"Host names; *.example.com takes any name below example.com."`
	Methods []string     `yaml:"methods" one:"true" doc:"Methods; GET takes HEAD as well. None: any."`
	Path    string       `yaml:"path" doc:"/exact, /users/{id} (one segment), /files/* or /files/{rest...} (the rest)."`
	Regexp  string       `yaml:"regexp" doc:"A regular expression (RE2) over the path, in place of path. It begins with ^/; end it with $ unless more may follow."`
	Headers []ValueMatch `yaml:"headers" doc:"Conditions on header fields, by name."`
	Query   []ValueMatch `yaml:"query" doc:"Conditions on query parameters, by name."`
	When    string       `yaml:"when" doc:"A CEL expression over the facts of the request that must be true."`
	WhenPos Pos          `yaml:"-"`
}

// ValueMatch is a condition on one header field or query parameter. Exactly one
// of the conditions is set.
type ValueMatch struct {
	Pos     Pos     `yaml:"-"`
	Name    string  `yaml:"-" key:"name"`
	Exact   *string `yaml:"exact" short:"true" doc:"The value is this text."`
	Prefix  string  `yaml:"prefix" doc:"The value begins with this text."`
	Regexp  string  `yaml:"regexp" doc:"The value matches this regular expression (RE2)."`
	Present *bool   `yaml:"present" doc:"The value is there, or (false) is not."`

	written string // the condition as the file has it, references unresolved
}

// Split is a service and its share of a route's requests.
type Split struct {
	Pos     Pos    `yaml:"-"`
	Service string `yaml:"service" short:"true" required:"true" doc:"The name of a service."`
	Weight  int    `yaml:"weight" default:"1" min:"0" max:"1000000" doc:"Its share, relative to the other weights."`
}

// Redirect is an answer that sends the client elsewhere.
type Redirect struct {
	Pos    Pos    `yaml:"-"`
	To     string `yaml:"to" short:"true" required:"true" doc:"The new location; a template over the facts of the request."`
	ToPos  Pos    `yaml:"-"`
	Status int    `yaml:"status" default:"308" enum:"301,302,303,307,308" doc:"The status of the answer."`
}

// Answer is an answer that needs no service.
type Answer struct {
	Pos         Pos    `yaml:"-"`
	Status      int    `yaml:"status" short:"true" default:"200" min:"200" max:"599" doc:"The status."`
	Body        string `yaml:"body" doc:"The body, as it is."`
	JSON        any    `yaml:"json" doc:"The body, written as JSON."`
	Headers     []Pair `yaml:"headers" doc:"Further header fields."`
	ContentType string `yaml:"content_type" doc:"The type of the body. Default: text/plain, or application/json for json."`
}
