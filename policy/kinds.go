package policy

// Kinds is every policy, in the order in which they run within a stage.
var Kinds = []Kind{
	// What adds to every answer stands outside of what refuses; a refused
	// method is told to pages as well, and no preflight gets past cors.
	{"security_headers", Guard, securityHeadersDoc, func() Spec { return new(SecurityHeaders) }},
	{"ip", Guard, ipDoc, func() Spec { return new(IP) }},
	{"cors", Guard, corsDoc, func() Spec { return new(CORS) }},
	{"methods", Guard, methodsDoc, func() Spec { return new(Methods) }},
	{"csrf", Guard, csrfDoc, func() Spec { return new(CSRF) }},
	{"content_types", Guard, contentTypesDoc, func() Spec { return new(ContentTypes) }},
	{"max_body", Guard, maxBodyDoc, func() Spec { return new(MaxBody) }},
	{"max_message", Guard, maxMessageDoc, func() Spec { return new(MaxMessage) }},
	{"websocket", Guard, websocketDoc, func() Spec { return new(WebSocket) }},
	{"identity", Identify, identityDoc, func() Spec { return new(Identity) }},
	{"scopes", Authorize, scopesDoc, func() Spec { return new(Scopes) }},
	{"roles", Authorize, rolesDoc, func() Spec { return new(Roles) }},
	{"allow", Authorize, allowDoc, func() Spec { return new(Allow) }},
	{"opa", Authorize, opaDoc, func() Spec { return new(OPA) }},
	{"limit", Limits, limitDoc, func() Spec { return new(Limit) }},
	{"quota", Limits, quotaDoc, func() Spec { return new(Quota) }},
	{"bandwidth", Limits, bandwidthDoc, func() Spec { return new(Bandwidth) }},
	{"concurrency", Limits, concurrencyDoc, func() Spec { return new(Concurrency) }}, // last: a slot is held for as short as can be
	{"validate", Shape, validateDoc, func() Spec { return new(Validate) }},           // what the client sent, before it is changed
	{"strip_prefix", Shape, stripPrefixDoc, func() Spec { return new(StripPrefix) }},
	{"rewrite", Shape, rewriteDoc, func() Spec { return new(Rewrite) }},
	{"headers", Shape, headersDoc, func() Spec { return new(Headers) }},
	{"cache", Shape, cacheDoc, func() Spec { return new(Cache) }},                   // what is forwarded is what is in the key
	{"compress", Shape, compressDoc, func() Spec { return new(Compress) }},          // within the cache, which keeps what was compressed
	{"credentials", Shape, credentialsDoc, func() Spec { return new(Credentials) }}, // last: nothing else sees them
}
