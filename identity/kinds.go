package identity

// Kinds is every kind of source.
var Kinds = []Kind{
	{"jwt", jwtDoc, func() Spec { return new(JWT) }},
	{"api_key", apiKeyDoc, func() Spec { return new(APIKey) }},
	{"basic", basicDoc, func() Spec { return new(Basic) }},
	{"mtls", mtlsDoc, func() Spec { return new(MTLS) }},
	{"hmac", hmacDoc, func() Spec { return new(HMAC) }},
	{"introspection", introspectionDoc, func() Spec { return new(Introspection) }},
	{"forward_auth", forwardAuthDoc, func() Spec { return new(ForwardAuth) }},
	{"ext_authz", extAuthzDoc, func() Spec { return new(ExtAuthz) }},
	{"oidc", oidcDoc, func() Spec { return new(OIDC) }},
	{"anonymous", anonymousDoc, func() Spec { return new(Anonymous) }},
}
