package exchange

// Every code that the gateway answers with. The docs page of error codes is
// generated from this list; a code, once released, keeps its name and meaning.
var (
	// The request as it came over the wire.
	BadRequest        = &Code{"bad_request", 400, ByClient, false, "The request is not valid HTTP."}
	BadFraming        = &Code{"bad_framing", 400, ByClient, false, "The length of the request body is stated in an invalid or ambiguous way."}
	BadHeader         = &Code{"bad_header", 400, ByClient, false, "A header line of the request is not valid."}
	BadHost           = &Code{"bad_host", 400, ByClient, false, "The Host header is missing, repeated or not a valid host."}
	BadTarget         = &Code{"bad_target", 400, ByClient, false, "The request target is not a valid path or URL."}
	BadBody           = &Code{"bad_body", 400, ByClient, false, "The request body is not framed as announced."}
	TargetTooLong     = &Code{"target_too_long", 414, ByClient, false, "The request target is longer than allowed."}
	HeaderTooLarge    = &Code{"header_too_large", 431, ByClient, false, "The request headers are larger or more than allowed."}
	BodyTooLarge      = &Code{"body_too_large", 413, ByClient, false, "The request body is larger than allowed."}
	MessageTooLarge   = &Code{"message_too_large", 413, ByClient, false, "A message of the call is larger than allowed."}
	RequestTimeout    = &Code{"request_timeout", 408, ByClient, false, "The request did not arrive in time."}
	VersionUnknown    = &Code{"version_not_supported", 505, ByClient, false, "This HTTP version is not supported."}
	MethodUnsupported = &Code{"method_not_supported", 405, ByClient, false, "The gateway does not serve this method."}
	ExpectUnknown     = &Code{"expectation_failed", 417, ByClient, false, "The Expect header asks for something unknown."}
	Misdirected       = &Code{"misdirected_request", 421, ByClient, false, "This connection is not for that host."}
	ClientGone        = &Code{"client_gone", 499, ByClient, false, "The client closed the connection before the answer was complete."}

	// Routing.
	NoRoute          = &Code{"no_route", 404, ByClient, false, "No route matches the request."}
	MethodNotAllowed = &Code{"method_not_allowed", 405, ByClient, false, "The path exists, but not for this method."}

	// Who is calling.
	IdentityRequired    = &Code{"identity_required", 401, ByClient, false, "The request needs a credential and carries none."}
	IdentityInvalid     = &Code{"identity_invalid", 401, ByClient, false, "The credential of the request is not accepted."}
	IdentityLimited     = &Code{"identity_limited", 429, ByClient, false, "Too many credentials from this address were refused; Retry-After says when one is looked at again."}
	IdentityUnavailable = &Code{"identity_unavailable", 503, ByGateway, true, "Who is calling can't be verified at the moment."}

	// What the caller may do.
	Forbidden            = &Code{"forbidden", 403, ByClient, false, "The request is not allowed."}
	IPForbidden          = &Code{"ip_forbidden", 403, ByClient, false, "The request is not allowed from this address."}
	ScopeMissing         = &Code{"scope_missing", 403, ByClient, false, "The credential does not have the scope that the request needs."}
	RoleMissing          = &Code{"role_missing", 403, ByClient, false, "The caller does not have the role that the request needs."}
	CORSRefused          = &Code{"cors_refused", 403, ByClient, false, "Pages of this origin may not make the request."}
	CSRFRefused          = &Code{"csrf_refused", 403, ByClient, false, "The request seems to have been made by a page of another site."}
	MediaTypeUnsupported = &Code{"media_type_unsupported", 415, ByClient, false, "The request body is of a type or encoding that is not accepted."}
	RequestInvalid       = &Code{"request_invalid", 400, ByClient, false, "The request does not have the form that is expected; the flaws say where."}
	DecisionUnavailable  = &Code{"decision_unavailable", 503, ByGateway, true, "Whether the request is allowed can't be decided at the moment."}

	// How much.
	RateLimited        = &Code{"rate_limited", 429, ByClient, false, "More requests have come than the limit allows; Retry-After says when there is room again."}
	QuotaExceeded      = &Code{"quota_exceeded", 429, ByClient, false, "The quota is used up; Retry-After says when there is room again."}
	ConcurrencyLimited = &Code{"concurrency_limited", 429, ByClient, false, "As many requests of this kind are being served as may be at a time."}
	Overloaded         = &Code{"overloaded", 503, ByGateway, true, "As many requests are being served as can be; try again a little later."}
	LimitUnavailable   = &Code{"limit_unavailable", 503, ByGateway, true, "Whether a limit is reached can't be told at the moment."}

	// Upstreams.
	NoTarget               = &Code{"no_healthy_target", 503, ByUpstream, true, "The service has no healthy target at the moment."}
	TargetBusy             = &Code{"target_busy", 503, ByUpstream, true, "The service has as many requests in flight as it may have."}
	CircuitOpen            = &Code{"circuit_open", 503, ByUpstream, true, "The service fails so often that it is given a pause."}
	ConnectFailed          = &Code{"upstream_connect_failed", 502, ByUpstream, true, "The service could not be reached."}
	ConnectTimeout         = &Code{"upstream_connect_timeout", 504, ByUpstream, true, "The service could not be reached in time."}
	UpstreamTLS            = &Code{"upstream_tls_failed", 502, ByUpstream, true, "The service's TLS certificate could not be verified."}
	UpstreamReset          = &Code{"upstream_reset", 502, ByUpstream, false, "The service closed the connection before it answered."}
	UpstreamStale          = &Code{"upstream_stale", 502, ByUpstream, false, "The service closed a kept connection instead of answering."}
	UpstreamMalformed      = &Code{"upstream_malformed", 502, ByUpstream, false, "The service's answer is not valid HTTP."}
	UpstreamTimeout        = &Code{"upstream_timeout", 504, ByUpstream, false, "The service did not answer in time."}
	UpstreamBroken         = &Code{"upstream_broken_body", 502, ByUpstream, false, "The service broke off in the middle of its answer."}
	ExchangeTimeout        = &Code{"exchange_timeout", 504, ByGateway, false, "The exchange took longer than the route allows."}
	CredentialsUnavailable = &Code{"credentials_unavailable", 503, ByGateway, true, "The gateway has no valid credentials for the service at the moment."}
	TunnelEnded            = &Code{"tunnel_ended", 503, ByGateway, false, "The gateway has ended the tunnel or WebSocket: the cause in the record says which limit it had reached."}
	TunnelInvalid          = &Code{"websocket_invalid", 400, ByClient, false, "What was sent over the WebSocket is none."}
	RetryBody              = &Code{"retry_body_lost", 502, ByGateway, false, "The request could not be repeated, because its body was not kept."}

	// gRPC services for clients that speak REST.
	SchemaUnavailable = &Code{"grpc_schema_unavailable", 503, ByUpstream, true, "What the gRPC service offers is not known yet; try again a little later."}
	MethodUnknown     = &Code{"grpc_method_unknown", 501, ByUpstream, false, "The gRPC service does not offer the method that the route calls, or not with these fields."}
	GRPCMalformed     = &Code{"grpc_malformed", 502, ByUpstream, false, "The service's answer is not valid gRPC, or can't be written as JSON."}

	// Composed answers.
	PartFailed    = &Code{"part_failed", 502, ByUpstream, false, "A part that the answer needs could not be had; part says which."}
	PartTimeout   = &Code{"part_timeout", 504, ByUpstream, false, "A part that the answer needs did not come in time; part says which."}
	PartInvalid   = &Code{"part_invalid", 502, ByUpstream, false, "A part that the answer needs came in a form that is not valid or not allowed; part says which."}
	PartInput     = &Code{"part_input_missing", 502, ByUpstream, false, "A part that the answer needs could not be asked for, because what to ask with is missing in another part."}
	PartCancelled = &Code{"part_cancelled", 499, ByGateway, false, "The part was given up, because the answer had failed without it."}
	ComposeFailed = &Code{"compose_failed", 502, ByUpstream, false, "The parts came, but the answer could not be made of them."}
	UndoFailed    = &Code{"compensation_failed", 502, ByUpstream, false, "The answer failed, and what had been done for it could not be undone; part says which."}

	// The gateway itself.
	Draining = &Code{"draining", 503, ByGateway, true, "The gateway is shutting down."}
	Internal = &Code{"internal", 500, ByGateway, false, "The gateway failed; its log says why."}
)

// Codes lists every code, in the order of the docs page.
var Codes = []*Code{
	BadRequest, BadFraming, BadHeader, BadHost, BadTarget, BadBody, TargetTooLong, HeaderTooLarge, BodyTooLarge, MessageTooLarge,
	RequestTimeout, VersionUnknown, MethodUnsupported, ExpectUnknown, Misdirected, ClientGone,
	NoRoute, MethodNotAllowed,
	IdentityRequired, IdentityInvalid, IdentityLimited, IdentityUnavailable,
	Forbidden, IPForbidden, ScopeMissing, RoleMissing, CORSRefused, CSRFRefused, MediaTypeUnsupported, RequestInvalid, DecisionUnavailable,
	RateLimited, QuotaExceeded, ConcurrencyLimited, Overloaded, LimitUnavailable,
	NoTarget, TargetBusy, CircuitOpen, ConnectFailed, ConnectTimeout, UpstreamTLS, UpstreamReset, UpstreamStale,
	UpstreamMalformed, UpstreamTimeout, UpstreamBroken, ExchangeTimeout, TunnelEnded, TunnelInvalid, RetryBody, CredentialsUnavailable,
	SchemaUnavailable, MethodUnknown, GRPCMalformed,
	PartFailed, PartTimeout, PartInvalid, PartInput, PartCancelled, ComposeFailed, UndoFailed,
	Draining, Internal,
}

// Sentence is what the list of codes says about e.
func (e *Error) Sentence() string {
	for _, c := range Codes {
		if c.Name == e.Code {
			return c.Text
		}
	}
	return ""
}
