package config

// Service is something behind the gateway that answers requests.
type Service struct {
	Pos         Pos             `yaml:"-"`
	Name        string          `yaml:"-" key:"service"`
	Targets     []Target        `yaml:"targets" short:"true" one:"true" required:"true" doc:"Where it runs."`
	Balance     Balance         `yaml:"balance" doc:"How a target is chosen."`
	Health      *Health         `yaml:"health" words:"off" doc:"Ask the targets whether they are well; left out: don't ask."`
	Outliers    Outliers        `yaml:"outliers" words:"on,off" doc:"Stop sending to targets that keep failing, for a while. On by default."`
	Breaker     *Breaker        `yaml:"breaker" words:"on,off" doc:"Refuse at once while most requests fail. Left out: off."`
	Overload    ServiceOverload `yaml:"overload" doc:"Let no more requests wait for the targets than these answer soon. On by default."`
	Retries     Retries         `yaml:"retries" words:"off" doc:"Try another target where nothing harmful can have happened."`
	SlowStart   Duration        `yaml:"slow_start" default:"0" doc:"How long a target that comes back gets less than its share; 0 is off."`
	Timeouts    ServiceTimeouts `yaml:"timeouts" doc:"How long the targets may take."`
	Connections Connections     `yaml:"connections" doc:"Connections to each target."`
	HTTP        string          `yaml:"http" enum:"1.1,2" default:"1.1" doc:"The HTTP version that http, https and unix targets are spoken to in; those that begin with grpc, grpcs or h2c always speak 2."`
	Host        string          `yaml:"host" default:"preserve" doc:"The Host that targets see: preserve (the client's), target (the target's own), or a name."`
	TLS         *UpstreamTLS    `yaml:"tls" doc:"How https targets are verified, and what they are shown."`
	GRPC        *ServiceGRPC    `yaml:"grpc" doc:"Where the methods of a gRPC service are learned from, for routes that translate REST to it. Left out: from the service itself, by reflection."`
	Policies    []Policy        `yaml:"-" only:"limit,quota,concurrency,bandwidth,cache,credentials"`
	Resolve     Duration        `yaml:"resolve" default:"30s" doc:"How often the names of targets are resolved again; 0 is once."`
}

// Target is one place where a service runs.
type Target struct {
	Pos    Pos    `yaml:"-"`
	URL    string `yaml:"url" short:"true" required:"true" doc:"http://host:port, https://host:port or unix:/path/of/socket; grpc://host:port (the same as h2c://) or, with TLS, grpcs://host:port for HTTP/2."`
	Weight int    `yaml:"weight" default:"1" min:"0" max:"1000000" doc:"Its share, relative to the other weights; 0 gets nothing."`
}

// Balance is how a target is chosen.
type Balance struct {
	Pos    Pos    `yaml:"-"`
	Kind   string `yaml:"kind" short:"true" enum:"round_robin,least_requests,random,hash,sticky" default:"round_robin" doc:"round_robin (with weights), least_requests (the less busy of two), random, hash (the same key meets the same target), sticky (by a cookie that the gateway sets)."`
	Key    string `yaml:"key" doc:"The key of hash: a fact or a CEL expression, such as client.ip or header[\"x-tenant\"]."`
	KeyPos Pos    `yaml:"-"`
	Cookie string `yaml:"cookie" doc:"The name of the cookie of sticky. Default: gopura_target."`
}

// Health is how targets are asked whether they are well.
type Health struct {
	Pos       Pos      `yaml:"-"`
	Path      string   `yaml:"path" short:"true" doc:"The path of a GET request."`
	TCP       bool     `yaml:"tcp" word:"tcp" doc:"Only open a connection."`
	GRPC      bool     `yaml:"grpc" word:"grpc" doc:"Call grpc.health.v1.Health/Check."`
	Service   string   `yaml:"service" doc:"The gRPC service that is asked about. Default: the server as a whole."`
	Interval  Duration `yaml:"interval" default:"5s" min:"100ms" doc:"Time between two checks of a target."`
	Timeout   Duration `yaml:"timeout" default:"2s" min:"10ms" doc:"How long a check may take."`
	Healthy   int      `yaml:"healthy" default:"2" min:"1" doc:"Successes in a row after which a target is used again."`
	Unhealthy int      `yaml:"unhealthy" default:"3" min:"1" doc:"Failures in a row after which a target is left alone."`
	Status    string   `yaml:"status" default:"200-399" doc:"The statuses that count as well, such as 200 or 200-399 or 200,204."`
	Host      string   `yaml:"host" doc:"The Host of the request. Default: the target's own."`
}

// Outliers is when a target that keeps failing is left alone.
type Outliers struct {
	Pos        Pos      `yaml:"-"`
	Off        bool     `yaml:"-" word:"off"`
	Failures   int      `yaml:"failures" default:"5" min:"1" doc:"Failures in a row after which a target is ejected."`
	Eject      Duration `yaml:"eject" default:"30s" min:"100ms" doc:"For how long."`
	MaxEjected Percent  `yaml:"max_ejected" default:"50%" doc:"At most this part of the targets is ejected at a time."`
}

// Breaker is when a service is not asked at all.
type Breaker struct {
	Pos         Pos      `yaml:"-"`
	FailureRate Percent  `yaml:"failure_rate" default:"50%" min:"1%" doc:"Part of the requests that must fail before it opens."`
	Minimum     int      `yaml:"minimum" default:"20" min:"1" doc:"Requests within the window before it judges."`
	Window      Duration `yaml:"window" default:"10s" min:"100ms" doc:"How far it looks back."`
	Pause       Duration `yaml:"pause" default:"5s" min:"10ms" doc:"How long it stays open before it tries again."`
}

// Retries is when another target is tried.
type Retries struct {
	Pos      Pos      `yaml:"-"`
	Attempts int      `yaml:"attempts" short:"true" word:"off=0" default:"1" min:"0" max:"10" doc:"Further attempts after the first."`
	Budget   Percent  `yaml:"budget" default:"20%" doc:"Retries are at most this part of the service's requests."`
	Body     Size     `yaml:"body" default:"64KiB" max:"16MiB" doc:"Requests with a larger body are not tried again."`
	On       []string `yaml:"on" one:"true" enum:"connect,reset,timeout,502,503,504,unavailable,resource_exhausted,aborted,internal,cancelled,deadline_exceeded,unknown,data_loss" default:"connect,reset" doc:"The failures after which another target is tried. The words from unavailable on are gRPC codes of answers without a message."`
}

// ServiceTimeouts is how long targets may take.
type ServiceTimeouts struct {
	Pos      Pos      `yaml:"-"`
	Connect  Duration `yaml:"connect" default:"5s" min:"1ms" doc:"To accept a connection, TLS included."`
	Response Duration `yaml:"response" default:"60s" doc:"To send the head of the response, from the end of the request; 0 is no limit."`
	Idle     Duration `yaml:"idle" default:"60s" doc:"How long an unused connection is kept."`
}

// Connections is how many connections each target gets.
type Connections struct {
	Pos  Pos `yaml:"-"`
	Max  int `yaml:"max" default:"0" min:"0" doc:"At most; 0 is no limit."`
	Idle int `yaml:"idle" default:"128" min:"0" doc:"Unused ones that are kept."`
}
