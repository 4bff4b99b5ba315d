package compose

import (
	"sync"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/rawjson"
)

// Plan is a composed route compiled. It is immutable, and a Handler.
type Plan struct {
	calls    []*call
	start    []int // calls that wait for nothing
	readBody bool  // an expression uses the client's body
	answer   answer
	alone    bool      // one call at a time
	anyBody  bool      // the client's body may be no JSON
	runs     sync.Pool // of *run
}

// call is one call of a plan.
type call struct {
	index     int
	name      string
	conf      *config.Call
	ask       request
	undo      *request // nil: nothing to undo
	undoBlind bool     // it can be undone without its result
	when      *expr.Program
	each      *each // nil: made once

	needs []int // calls that it refers to
	after []int // calls that must have succeeded before
	next  []int // calls that wait for it
	waits int   // how many it waits for
	tail  int   // length of the longest chain of calls that wait for it

	required bool
	fallback rawjson.Value // of a call that is not
	twin     bool          // another call may be identical
	class    int           // of those that may be, the same number
	shape    *rawjson.Shape
	limits   rawjson.Limits
	observe  Observer
}

// each repeats a call for the elements of a list.
type each struct {
	in     *expr.Program
	max    int
	limit  int
	unique bool
}

// request is a request that is made anew for each exchange.
type request struct {
	service string
	method  string
	handler exchange.Handler
	timeout time.Duration

	target  *expr.Template
	headers []header
	forward []string
	body    *expr.Program
	rpc     string // the path of a method of gRPC
	accept  string // the Accept field; empty: declared otherwise
	derive  bool   // a client's Idempotency-Key is passed on, with the name of the call
	vars    []int  // what it refers to
}

type header struct {
	name  string
	value *expr.Template
}

// safe reports whether the method promises to change nothing (RFC 9110 §9.2.1).
func (r *request) safe() bool {
	switch r.method {
	case "GET", "HEAD", "OPTIONS":
		return r.rpc == ""
	}
	return false
}

// bodyVar and itemVar are the indexes of the names that are no calls.
func (p *Plan) bodyVar() int { return len(p.calls) }
func (p *Plan) itemVar() int { return len(p.calls) + 1 }
