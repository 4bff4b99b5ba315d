package policy

// Kinds is every policy, in the order in which they run within a stage.
var Kinds = []Kind{
	{"max_body", Guard, maxBodyDoc, func() Spec { return new(MaxBody) }},
	{"strip_prefix", Shape, stripPrefixDoc, func() Spec { return new(StripPrefix) }},
	{"rewrite", Shape, rewriteDoc, func() Spec { return new(Rewrite) }},
	{"headers", Shape, headersDoc, func() Spec { return new(Headers) }},
}
