// Package transcode speaks gRPC on behalf of those that don't: it turns REST
// and JSON into calls of gRPC methods and back, with nothing generated and
// nothing compiled beforehand.
//
//		REST request ─▶ binding ─▶ codec: JSON ─▶ wire ─▶ frames ─▶ service (any exchange.Handler)
//		     answer  ◀─ status  ◀─ codec: wire ─▶ JSON ◀─ frames ◀─
//
//	  - A Schema is what is known of a service: its methods and messages. It
//	    comes from server reflection, from .proto files or from a descriptor set,
//	    and never changes; a Source holds the latest one.
//	  - A Binding says which request means which call (google.api.http).
//	  - The codec is a table for each message, made once from the descriptors. It
//	    goes from the bytes of JSON to the bytes of the protobuf wire format and
//	    back without an object in between, with the semantics of protojson.
//	  - Frames and Status are gRPC's own framing and outcome, for every dialect.
//
// An Interpreter does the same for gRPC-Web and Connect, which say what gRPC says
// in another form (a Dialect): what is behind it sees gRPC. Reflection tells
// clients what they may call.
//
// The package knows nothing of HTTP versions: the service is a Handler that is
// given a gRPC request and answers with frames and trailers.
package transcode
