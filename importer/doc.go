// Package importer turns configurations of other gateways, and OpenAPI documents,
// into ours: one file for each source, which reads it and fills a draft; the
// draft is written in the style of the documentation, with comments.
//
// It promises two things. A request goes where it went before, or the report says
// that it does not: each thing that has no equivalent, or one that behaves
// otherwise, is a Loss with its place, and a comment where it would stand. And
// nothing opens by being imported: where something kept somebody out and can't be
// translated, the route is closed (allow: "false") until a person has decided.
//
// Sources are files of others: they meet the limits of config.ReadTree, and the
// parser of nginx.conf has limits of its own.
package importer
