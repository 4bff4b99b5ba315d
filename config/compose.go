package config

import (
	"strconv"
	"strings"
)

// Call is a request to a service whose result is a part of a composed answer.
type Call struct {
	Pos     Pos          `yaml:"-"`
	Name    string       `yaml:"-" key:"call"`
	Call    string       `yaml:"call" short:"true" required:"true" doc:"METHOD service/path?query. {id} is a path parameter of the route, {user.email} a part of the result of the call user (which is then waited for), {query.v} any fact of the request."`
	CallPos Pos          `yaml:"-"`
	When    string       `yaml:"when" doc:"A CEL expression over facts and results; false: the call is not made, and its result is null."`
	WhenPos Pos          `yaml:"-"`
	ForEach *ForEach     `yaml:"for_each" doc:"Make the call once for each element of a list; the result is the list of results, in the same order."`
	After   []string     `yaml:"after" one:"true" doc:"Calls that must have succeeded before, beside those that it refers to."`
	Timeout Duration     `yaml:"timeout" doc:"How long it may take, retries and body included; 0: as long as the route leaves it."`
	Headers []Pair       `yaml:"headers" doc:"Header fields that it sends: templates over facts and results."`
	Forward []string     `yaml:"forward" one:"true" doc:"Header fields of the client's request that it passes on. Nothing else of the client's is, but the request id, trace headers and, derived, Idempotency-Key."`
	Body    string       `yaml:"body" doc:"A CEL expression over facts, results and body (the client's own, as JSON); its value is sent as JSON."`
	BodyPos Pos          `yaml:"-"`
	Undo    *Undo        `yaml:"compensate" doc:"The call that undoes this one when it succeeded, or may have, and the answer then failed."`
	Accept  []StatusSpan `yaml:"accept" one:"true" default:"200-299" doc:"The statuses whose body is the result: 200, 2xx, 200-299."`
	Absent  []StatusSpan `yaml:"absent" one:"true" doc:"Statuses that mean that there is nothing: the result is null, and nothing has failed."`
	Pass    []StatusSpan `yaml:"pass" one:"true" doc:"Statuses that end the whole: the client gets this status with the service's own body."`

	Optional   bool `yaml:"optional" doc:"When it fails, its result is null and the answer is partial. Without this (or default) the whole answer fails."`
	Default    any  `yaml:"default" doc:"When it fails, this is its result, and the answer is partial."`
	HasDefault bool `yaml:"-"`
	Hidden     bool `yaml:"hidden" doc:"Its result is for other calls, and no member of the answer."`

	As         string `yaml:"as" enum:"auto,json,ndjson,xml,form,text" default:"auto" doc:"How the body is read; auto: by its Content-Type."`
	MaxSize    Size   `yaml:"max_size" default:"4MiB" min:"1" max:"256MiB" doc:"The largest body, decompressed."`
	MaxDepth   int    `yaml:"max_depth" default:"64" min:"1" max:"1000" doc:"The deepest nesting of the body."`
	Duplicates string `yaml:"duplicates" enum:"refuse,first,last" default:"refuse" doc:"What becomes of a member that an object has twice."`
	UTF8       string `yaml:"invalid_utf8" enum:"refuse,replace" default:"refuse" doc:"What becomes of texts that are not valid UTF-8."`

	Take     string   `yaml:"take" doc:"A path such as data.items: what is there is the result, in place of the whole body."`
	Pick     []string `yaml:"pick" one:"true" doc:"Paths of the members that stay: id, address.city, items[].id."`
	Drop     []string `yaml:"drop" one:"true" doc:"Paths of members that go."`
	Rename   []Pair   `yaml:"rename" doc:"New names of members, by their paths."`
	Flatten  []string `yaml:"flatten" one:"true" doc:"Paths of objects whose members are lifted into the object around them."`
	Policies []Policy `yaml:"-" only:"limit,quota,concurrency,cache,credentials"`
}

// ForEach repeats a call for each element of a list.
type ForEach struct {
	Pos    Pos    `yaml:"-"`
	In     string `yaml:"in" short:"true" required:"true" doc:"A CEL expression over facts and results whose value is a list."`
	InPos  Pos    `yaml:"-"`
	As     string `yaml:"as" default:"item" doc:"What an element is called in the call."`
	Max    int    `yaml:"max" default:"8" min:"1" max:"64" doc:"How many of them are made at a time."`
	Limit  int    `yaml:"limit" default:"100" min:"1" max:"10000" doc:"The longest list; a longer one is a failure."`
	Unique bool   `yaml:"unique" default:"true" doc:"Make identical GET requests of the list once."`
}

// Undo is the call that undoes another.
type Undo struct {
	Pos     Pos      `yaml:"-"`
	Call    string   `yaml:"call" short:"true" required:"true" doc:"METHOD service/path?query, over facts and the results that are there."`
	CallPos Pos      `yaml:"-"`
	Timeout Duration `yaml:"timeout" default:"5s" min:"1ms" doc:"How long it may take."`
	Headers []Pair   `yaml:"headers" doc:"Header fields that it sends."`
	Forward []string `yaml:"forward" one:"true" doc:"Header fields of the client's request that it passes on."`
	Body    string   `yaml:"body" doc:"A CEL expression; its value is sent as JSON."`
	BodyPos Pos      `yaml:"-"`

	// Left out, the credentials of the call that it undoes hold, where both ask the
	// same service.
	Policies []Policy `yaml:"-" only:"credentials"`
}

// Respond is how the answer is made of the results.
type Respond struct {
	Pos       Pos    `yaml:"-"`
	Body      string `yaml:"body" short:"true" doc:"A CEL expression over facts and results: any JSON. Left out: an object with one member for each call."`
	BodyPos   Pos    `yaml:"-"`
	Merge     *Merge `yaml:"merge" doc:"Put results into one another, in place of an expression."`
	Status    string `yaml:"status" default:"200" doc:"The status: a number, or a CEL expression over facts and results."`
	StatusPos Pos    `yaml:"-"`
	Headers   []Pair `yaml:"headers" doc:"Header fields of the answer: templates over facts and results."`
	Partial   string `yaml:"partial" enum:"allow,refuse" default:"allow" doc:"What becomes of an answer in which something optional is missing: it is given, and marked; or it fails as a whole."`
	Meta      string `yaml:"meta" enum:"off,on,asked" default:"off" doc:"Add a member _meta with the status, time and code of each part: never, always, or when the request has Gopura-Meta: on."`
	Stream    string `yaml:"stream" enum:"auto,off,parts" default:"auto" doc:"Send the parts as they arrive to clients that accept application/x-ndjson or text/event-stream. auto: where the answer is one member for each call; parts: also beside body or merge, which such clients then don't get."`
}

// Merge puts the results of calls into one another.
type Merge struct {
	Pos   Pos      `yaml:"-"`
	Parts []string `yaml:"parts" short:"true" required:"true" doc:"The calls, in order. Objects become one, a later member taking the place of an earlier one; lists follow one another."`
	By    string   `yaml:"by" doc:"A member of the objects in two lists: those in which it is the same become one."`
	To    string   `yaml:"to" doc:"Its name in the second list. Default: the same."`
	As    string   `yaml:"as" doc:"Each object of the first list gets its match from the second as this member, in place of becoming one with it."`
	Many  bool     `yaml:"many" doc:"With as: a list of all that match."`
}

// maxCalls is how many calls a route may have: they may all run at once.
const maxCalls = 64

// DefaultComposeTimeout is how long a composed answer may take where the route
// doesn't say.
const defaultComposeTimeout = "30s"

// StatusSpan is a range of statuses: 404, 4xx, 200-299.
type StatusSpan struct{ From, To int }

// UnmarshalText reads a range of statuses.
func (s *StatusSpan) UnmarshalText(text []byte) error {
	from, to, ranged := strings.Cut(string(text), "-")
	if class, ok := strings.CutSuffix(from, "xx"); ok && !ranged {
		from, to = class+"00", class+"99"
	} else if !ranged {
		to = from
	}
	a, err1 := strconv.Atoi(from)
	b, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || a < 200 || b > 599 || a > b {
		return Form("a status (404, 4xx, 400-499)")
	}
	s.From, s.To = a, b
	return nil
}

// MarshalText writes it as it may be read.
func (s StatusSpan) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s StatusSpan) String() string {
	if s.From == s.To {
		return strconv.Itoa(s.From)
	}
	return strconv.Itoa(s.From) + "-" + strconv.Itoa(s.To)
}
