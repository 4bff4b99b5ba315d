package config

import "strings"

// Test is a request and what must become of it. `gopura test` runs it; the
// gateway does not look at it.
type Test struct {
	Pos      Pos           `yaml:"-"`
	Name     string        `yaml:"name" doc:"What the test shows. Default: its request."`
	Request  string        `yaml:"request" doc:"The request: \"POST /orders?dry=1\", or with a whole URL. Or one of the keys get, post, put, patch, delete, head, options with the URL."`
	Get      string        `yaml:"get" doc:"A GET request for this URL or path."`
	Post     string        `yaml:"post" doc:"A POST request."`
	Put      string        `yaml:"put" doc:"A PUT request."`
	Patch    string        `yaml:"patch" doc:"A PATCH request."`
	Delete   string        `yaml:"delete" doc:"A DELETE request."`
	Head     string        `yaml:"head" doc:"A HEAD request."`
	Options  string        `yaml:"options" doc:"An OPTIONS request."`
	Headers  []Pair        `yaml:"headers" doc:"Header fields of the request."`
	Body     string        `yaml:"body" doc:"The body of the request."`
	JSON     any           `yaml:"json" doc:"The body of the request, as JSON; its Content-Type is set."`
	As       any           `yaml:"as" doc:"Who is calling: a subject, or claims. The sources of identity take it as proven; identity names one of them."`
	Client   string        `yaml:"client" default:"127.0.0.1" doc:"The address of the client."`
	Times    int           `yaml:"times" default:"1" min:"1" max:"100000" doc:"Send it so often; what is expected is expected of the last."`
	Services []TestService `yaml:"services" doc:"What services answer, by name. Default: an empty 200."`
	Expect   Expect        `yaml:"expect" required:"true" doc:"What must become of it; what is not named may be anything."`
}

// TestService is what a service answers in a test.
type TestService struct {
	Pos     Pos    `yaml:"-"`
	Name    string `yaml:"-" key:"service"`
	Status  int    `yaml:"status" short:"true" default:"200" min:"200" max:"599" doc:"The status."`
	Headers []Pair `yaml:"headers" doc:"Header fields."`
	Body    string `yaml:"body" doc:"The body."`
	JSON    any    `yaml:"json" doc:"The body, as JSON; its Content-Type is set."`
	Fails   string `yaml:"fails" enum:"connect,timeout,reset" doc:"It does not answer, in this way."`
}

// Expect is what must become of a request.
type Expect struct {
	Pos      Pos        `yaml:"-"`
	Status   int        `yaml:"status" short:"true" doc:"The status of the answer."`
	Code     string     `yaml:"code" doc:"The code of the gateway's own answer; none: the gateway must not have refused."`
	Route    string     `yaml:"route" doc:"The route that takes it; none: no route does."`
	Service  string     `yaml:"service" doc:"The service that is asked; none: no service is."`
	Headers  []Pair     `yaml:"headers" doc:"Fields of the answer."`
	Without  []string   `yaml:"without" one:"true" doc:"Fields that the answer does not have."`
	Body     *string    `yaml:"body" doc:"The body of the answer."`
	Contains []string   `yaml:"contains" one:"true" doc:"Texts that the body of the answer contains."`
	JSON     any        `yaml:"json" doc:"The body of the answer, as JSON: equal in value."`
	Sent     []TestSent `yaml:"sent" one:"true" doc:"What services are sent, in this order."`
}

// TestSent is a request that a service is sent.
type TestSent struct {
	Pos     Pos      `yaml:"-"`
	Request string   `yaml:"request" short:"true" doc:"The request line: GET /v2/users/42."`
	Service string   `yaml:"service" doc:"The service."`
	Host    string   `yaml:"host" doc:"The Host that it sees."`
	Headers []Pair   `yaml:"headers" doc:"Header fields that it sees."`
	Without []string `yaml:"without" one:"true" doc:"Header fields that it does not see."`
	Body    *string  `yaml:"body" doc:"The body that it sees."`
	JSON    any      `yaml:"json" doc:"The body that it sees, as JSON: equal in value."`
}

// Check is the rule of a test: one request.
func (t *Test) Check(at *At) {
	var given []string
	for _, m := range []struct {
		key string
		url *string
	}{{"get", &t.Get}, {"post", &t.Post}, {"put", &t.Put}, {"patch", &t.Patch}, {"delete", &t.Delete}, {"head", &t.Head}, {"options", &t.Options}} {
		if at.Has(m.key) {
			given = append(given, m.key)
			if len(given) == 1 && t.Request == "" {
				t.Request = strings.ToUpper(m.key) + " " + *m.url
			}
		}
	}
	if at.Has("request") {
		given = append(given, "request")
	}
	switch {
	case len(given) == 0:
		at.Hint("add get: /path", "", "says what to expect and not what to request")
	case len(given) > 1:
		at.Problem(given[1], "a test has one request; this one has %s", strings.Join(given, " and "))
	}
	if at.Has("body") && at.Has("json") {
		at.Problem("json", "either body or json, not both")
	}
	if t.Name == "" {
		t.Name = t.Request
	}
}
