package identity

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const extAuthzDoc = "Asks a gRPC service about each request, by the contract of Envoy's external authorization (envoy.service.auth.v3.Authorization): " +
	"it hears what the request is and where it comes from, lets it pass with fields and parameters changed, or answers the client itself. " +
	"No answer in time is 503. Since it may answer itself, it comes last among several sources."

// ExtAuthz is the settings of ext_authz.
type ExtAuthz struct {
	Pos        config.Pos    `yaml:"-"`
	URL        string        `yaml:"url" short:"true" required:"true" doc:"The service: grpc://host:port, or grpcs:// over TLS."`
	Send       []string      `yaml:"send" one:"true" doc:"Fields of the request that the service hears. Default: all, credentials among them."`
	Hide       []string      `yaml:"hide" one:"true" doc:"Fields that it does not hear."`
	Body       config.Size   `yaml:"body" default:"0" max:"16MiB" doc:"The service also hears the body, of at most so many bytes; a larger one is 413. 0: it does not."`
	Partial    bool          `yaml:"partial" doc:"Of a larger body the service hears the beginning, and is told so (x-envoy-auth-partial-body), instead of 413."`
	Bytes      bool          `yaml:"bytes" doc:"Send the body as raw_body, whatever it is made of. Default: as body, a text; one that is not UTF-8 is refused with 400."`
	Extensions []config.Pair `yaml:"extensions" doc:"The context_extensions: texts by name that tell the service which route it is asked about, say."`
	Copy       []string      `yaml:"copy" one:"true" doc:"Fields that the service may set for the upstream; others it can't. They are taken from no client, on any route."`
	Sub        string        `yaml:"sub" doc:"The claim that names the subject; leave without it is refused with 503."`
	Claims     []config.Pair `yaml:"claims" doc:"Claims by name, each the name of a field that the service sets for the upstream."`
	Metadata   bool          `yaml:"metadata" doc:"Make the service's dynamic_metadata claims, too."`
	OnFailure  string        `yaml:"on_failure" default:"refuse" enum:"refuse,allow" doc:"What becomes of requests while the service can't be reached, or takes too long. allow: they pass, with an anonymous identity. An answer that is none refuses in any case."`
	CA         string        `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's; for grpcs."`
	Cert       string        `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the service, and its chain; for grpcs."`
	Key        string        `yaml:"key" doc:"Path of the PEM file with its private key."`
	Timeout    time.Duration `yaml:"timeout" default:"1s" min:"10ms" max:"60s" doc:"How long an answer may take."`
}

// Files returns what the source is made of besides its settings.
func (s *ExtAuthz) Files(dir string) []string { return s.trust().In(dir).Files() }

func (s *ExtAuthz) trust() CallTLS { return CallTLS{s.CA, s.Cert, s.Key} }

// checkMethod is what is called (envoy/service/auth/v3/external_auth.proto).
const checkMethod = "/envoy.service.auth.v3.Authorization/Check"

// extAuthz asks an authorization service.
type extAuthz struct {
	name       string
	settings   *ExtAuthz
	send, hide []string // lower case; send is nil for all
	extensions message  // the entries of context_extensions
	caller     *grpcCaller
	env        *Env
	down       atomic.Bool // it has been said that requests pass unchecked
}

// Compile implements Spec.
func (s *ExtAuthz) Compile(env *Env) (Source, error) {
	var faults []error
	fault := func(path string, pos config.Pos, err error) {
		faults = append(faults, &Fault{Path: path, Pos: pos, Err: err})
	}
	u, err := checkGRPC(s.URL)
	if err != nil {
		fault("url", s.Pos, err)
	} else if u.Scheme == "grpc" && len(s.trust().Files()) > 0 {
		fault("url", s.Pos, errors.New("ca, cert and key are for a grpcs:// URL"))
	}
	for _, list := range []struct {
		path  string
		names []string
		check func(string) error
	}{{"send", s.Send, checkFieldName}, {"hide", s.Hide, checkFieldName}, {"copy", s.Copy, checkForwarded}} {
		for i, name := range list.names {
			if err := list.check(name); err != nil {
				fault(fmt.Sprintf("%s[%d]", list.path, i), s.Pos, err)
			}
		}
	}
	for _, c := range s.Claims {
		if !slices.ContainsFunc(s.Copy, func(name string) bool { return strings.EqualFold(name, c.Value) }) {
			fault("claims."+c.Name, c.Pos, fmt.Errorf("a claim is made of a field under copy; %q is not there", c.Value))
		}
	}
	if s.Sub != "" && !s.Metadata && !slices.ContainsFunc(s.Claims, func(c config.Pair) bool { return c.Name == s.Sub }) {
		fault("sub", s.Pos, fmt.Errorf("there is no claim %q: name it under claims, or take metadata", s.Sub))
	}
	if s.Body == 0 && (s.Partial || s.Bytes) {
		fault("body", s.Pos, errors.New("partial and bytes are about a body: say how much of it the service hears"))
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	caller, hangUp, err := newGRPCCaller(env, u, s.trust(), s.Timeout)
	if err != nil {
		return nil, &Fault{Path: callFault(err), Pos: s.Pos, Err: err}
	}
	env.Scope.Add(hangUp)
	env.Asserts(s.Copy...)
	a := &extAuthz{name: env.Name, settings: s, caller: caller, env: env, send: lowerAll(s.Send), hide: lowerAll(s.Hide)}
	for _, p := range s.Extensions {
		a.extensions.entry(10, p.Name, p.Value)
	}
	return a, nil
}

// checkGRPC checks the address of a gRPC service.
func checkGRPC(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "grpc" && u.Scheme != "grpcs" || u.Hostname() == "" || u.Port() == "":
		return nil, errors.New("needs grpc://host:port or grpcs://host:port")
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("scheme, host and port are all that a gRPC service has")
	}
	return u, nil
}

func checkFieldName(name string) error {
	if !exchange.ValidName(name) {
		return fmt.Errorf("not a field name: %q", name)
	}
	return nil
}

func lowerAll(names []string) (lower []string) {
	for _, name := range names {
		lower = append(lower, strings.ToLower(name))
	}
	return lower
}

// Challenge implements Challenger: the service's own answer says what it wants.
func (a *extAuthz) Challenge(*exchange.Exchange, error) string { return "" }

// Identify implements Source.
func (a *extAuthz) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	question, err := a.question(x)
	if err != nil {
		return nil, err
	}
	asked := inquire(x, a.name, a.caller.server.Host)
	answer, err := a.caller.call(asked.in(x.Context()), checkMethod, a.settings.Timeout, question)
	asked.over(err)
	if err != nil {
		return a.unheard(x, err)
	}
	v, err := readRuling(answer)
	if err != nil {
		return nil, unavailable(err)
	}
	if a.down.Swap(false) {
		a.env.Log.Info("the authorization service answers again")
	}
	if v.denied != nil {
		return nil, a.deny(x, v.denied)
	}
	return a.pass(x, v)
}

func unavailable(err error) *exchange.Error {
	return exchange.IdentityUnavailable.Because(fmt.Errorf("ext_authz: %w", err))
}

// unheard decides about a request that the service has said nothing about. What
// it answers, though it be nonsense, never counts as a service that is away.
func (a *extAuthz) unheard(x *exchange.Exchange, err error) (*exchange.Identity, error) {
	var status *grpcError
	away := !errors.Is(err, errProto)
	if errors.As(err, &status) {
		away = status.code == exchange.GRPCUnavailable || status.code == exchange.GRPCDeadlineExceeded
	}
	if a.settings.OnFailure != "allow" || !away || x.Cancelled() != nil {
		return nil, unavailable(err)
	}
	if !a.down.Swap(true) {
		a.env.Log.Error("the authorization service can't be asked: requests pass unchecked (on_failure: allow)", "error", err)
	}
	for _, name := range a.settings.Copy {
		x.Request.Header.DelAlias(name)
	}
	return &exchange.Identity{Name: a.name, Anonymous: true}, nil
}
