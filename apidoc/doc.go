// Package apidoc describes what a gateway exposes as an OpenAPI 3.1 document:
// paths, methods and parameters from the matches, messages of gRPC methods from
// their descriptors, credentials and refusals from the policies.
//
// It says what is known, and no more: of what a service answers behind a plain
// route it knows nothing, and says so. The document is valid, and imports to the
// same routes (x-gopura-match).
package apidoc
