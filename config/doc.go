// Package config turns text into a Document: every setting typed, defaulted
// and checked as far as the text alone allows, every value with its place.
//
//	YAML ──▶ nodes ──▶ one strict decoder ──▶ Document ──▶ checks
//	                     ▲                                   │
//	     struct tags ────┴──▶ JSON Schema, reference page    └──▶ Problems, all at once
//
// The structs of document.go are the descriptor: their tags say the name of a
// key, its default, its words, its limits and its sentence in the docs. The
// decoder, the schema and the reference page read the same tags, so they can't
// disagree. Policies bring their own structs (Options.Policies) and are decoded
// the same way.
//
// A problem says where (file:line:col and path), what, and where it is cheap
// also what was probably meant. Values that came from ${env:…} or ${file:…} are
// secrets: they never appear in one.
//
// The package opens the configuration files and the files that ${file:…} names,
// and nothing else.
package config
