package identity

import (
	"errors"

	"gopura/config"
	"gopura/exchange"
)

// Source proves who a client is by one kind of credential. It is safe for
// concurrent use.
type Source interface {
	// Identify returns who the client is. The identity may be shared by many
	// exchanges: nobody writes to it. The error is None, Answered, or an
	// *exchange.Error (exchange.IdentityInvalid: the credential is there but
	// bad; exchange.IdentityUnavailable: nobody can say at the moment).
	//
	// A source takes its credential out of the request when the upstream is not
	// to see it. Response fields that it adds to x.Response.Header (Set-Cookie)
	// become part of whatever the upstream answers.
	Identify(x *exchange.Exchange) (*exchange.Identity, error)
}

// Challenger is a Source that a client can be told how to satisfy.
type Challenger interface {
	// Challenge returns the value of WWW-Authenticate with which a refusal
	// answers (RFC 9110 §11.6.1); "" for none. refused is the source's own error:
	// None when the request had no such credential.
	Challenge(x *exchange.Exchange, refused error) string
}

// Fallback is a Source that needs no credential. It is asked only when no
// source of the route has found a bad one: who shows a bad credential is refused,
// not treated as nobody.
type Fallback interface{ Fallback() }

var (
	// None says that the request carries no credential of this kind.
	None = errors.New("identity: no credential of this kind")
	// Answered says that the source has filled x.Response with the answer: a
	// redirect to a login page, or the end of one.
	Answered = errors.New("identity: the source has answered")
)

// Spec is the settings of a source as decoded from the configuration.
type Spec interface {
	// Compile checks the settings and returns the source that goes by them. It
	// opens nothing that it can't give to env.Scope, and asks nobody over the
	// network: that is for env.Prepare. The error is a *Fault or several, joined.
	Compile(env *Env) (Source, error)
}

// Kind is one kind of source that a configuration may name.
type Kind struct {
	Name string // the key of the configuration
	Doc  string // the paragraph of the reference page
	New  func() Spec
}

// ConfigKinds is the table of kinds as the configuration's decoder wants it.
func ConfigKinds() []config.PolicyKind {
	list := make([]config.PolicyKind, len(Kinds))
	for i, k := range Kinds {
		list[i] = config.PolicyKind{Name: k.Name, Doc: k.Doc, New: func() any { return k.New() }}
	}
	return list
}

// Fault is what is wrong with one setting of a source.
type Fault struct {
	Path string     // the setting: "claims.tenant"; empty: the source as a whole
	Pos  config.Pos // where it stands, as near as is known; zero: at the source
	Err  error
}

func (f *Fault) Error() string {
	if f.Path == "" {
		return f.Err.Error()
	}
	return f.Path + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults takes a joined error apart; what is no *Fault becomes one.
func Faults(err error) []*Fault {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*Fault
		for _, e := range joined.Unwrap() {
			list = append(list, Faults(e)...)
		}
		return list
	}
	var f *Fault
	if !errors.As(err, &f) {
		f = &Fault{Err: err}
	}
	return []*Fault{f}
}
