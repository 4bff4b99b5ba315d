// Package openapi reads OpenAPI documents: 3.0, 3.1 and Swagger 2, YAML or JSON.
// What comes out is the same for all of them: operations with their parameters,
// bodies and needs, each with its place in the file, and schemas as JSON Schema
// 2020-12.
//
// A document may refer to files of its own folder. Nothing is ever fetched, and a
// chain of references has an end.
package openapi
