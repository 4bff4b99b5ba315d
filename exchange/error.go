package exchange

import (
	"errors"
	"fmt"
)

// Side says whose fault an error is.
type Side uint8

const (
	ByGateway  Side = iota // ours: configuration, overload, a bug
	ByClient               // the client's: a request that can't be served as sent
	ByUpstream             // the service's behind us
)

// String returns the word that logs and metric labels carry.
func (s Side) String() string { return [...]string{"gateway", "client", "upstream"}[s] }

// Error is why an exchange got no ordinary answer: what, whose fault, which
// status, and whether trying again is safe. One function of the gateway turns
// it into what the client speaks.
type Error struct {
	Code   string // stable word, "upstream_connect_timeout": in answers, logs, metrics and docs
	Status int    // the HTTP status of the answer
	Side   Side   // whose fault
	Retry  bool   // nothing harmful has happened yet: another target may be tried
	Detail string // a sentence for the client, without internals; empty: the code's own sentence
	Err    error  // the cause, for logs; never shown to the client

	Header Header // fields that the answer has beside those of every failure: Allow, WWW-Authenticate, Vary
	Flaws  []Flaw // what is wrong with the request, place by place; shown to the client
	Part   string // the part of a composed answer that it is about; shown to the client
}

// Flaw is one thing that is wrong with a request. It repeats no value.
type Flaw struct {
	Pointer string `json:"pointer"` // where: #/items/0/count, #query/page, #header/x-plan
	Detail  string `json:"detail"`  // which rule it breaks
}

// With returns a copy of e, which may be shared, whose header can be added to.
func (e *Error) With() *Error {
	c := *e
	c.Header = Header{fields: append([]Field(nil), e.Header.fields...)}
	return &c
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Code + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error; what is none becomes code "internal".
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Internal.Because(err)
}

// Code is one kind of failure. All of them stand in Codes.
type Code struct {
	Name   string
	Status int
	Side   Side
	Retry  bool
	Text   string // one sentence: what the client and the docs are told
}

// Because returns the error of this kind with its cause.
func (c *Code) Because(err error) *Error {
	return &Error{Code: c.Name, Status: c.Status, Side: c.Side, Retry: c.Retry, Err: err}
}

// Errorf returns the error of this kind with a formatted cause.
func (c *Code) Errorf(format string, args ...any) *Error {
	return c.Because(fmt.Errorf(format, args...))
}

// Saying returns the error of this kind with a sentence that the client sees.
func (c *Code) Saying(detail string) *Error {
	e := c.Because(nil)
	e.Detail = detail
	return e
}

// Is reports whether err is an error of this kind.
func (c *Code) Is(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == c.Name
}

// ErrBodyTooLarge is returned by whoever counts a body against a limit.
var ErrBodyTooLarge error = BodyTooLarge.Because(nil)
