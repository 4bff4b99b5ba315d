package demo

import "strings"

// Try is a request that shows something, with what comes back.
type Try struct {
	Shows  string
	Method string // "" is GET
	Path   string
	Header []string // "Name: value"
	Body   string
	Admin  bool // of the admin listener

	Status   int    // of the answer
	Contains string // in its head or body
}

// Tries are the requests that the demo proposes, in an order that tells a story;
// where it says TOKEN, Services.Tries puts the token of the running demo.
var Tries = []Try{
	{Shows: "a user, from one of two targets", Path: "/users/42", Status: 200, Contains: "Asha Raman"},
	{Shows: "the orders of a user: another path inside", Path: "/users/42/orders", Status: 200, Contains: `"id":"1003"`},
	{Shows: "reviews, from a flaky service: retried where it is safe", Path: "/users/42/reviews", Status: 200, Contains: "malty"},
	{Shows: "one answer from four services; every third time a part is missing, and Gopura-Partial says so", Path: "/profile/42", Status: 200, Contains: `"orders":[{"id":"1001"`},
	{Shows: "the same, with the status and time of each part", Path: "/profile/42", Header: []string{"Gopura-Meta: on"}, Status: 200, Contains: `"_meta"`},
	{Shows: "an order is placed", Method: "POST", Path: "/orders", Header: []string{"Content-Type: application/json"},
		Body: `{"user": "42", "items": [{"product": "tea-01", "quantity": 1}]}`, Status: 201, Contains: "Location: /orders/"},
	{Shows: "a product, from a gRPC service; one in ten meets its next version", Path: "/products/tea-01", Status: 200, Contains: "X-Catalog-Version: "},
	{Shows: "who asks for the next version gets it", Path: "/products/tea-01", Header: []string{"X-Preview: on"}, Status: 200, Contains: "X-Catalog-Version: 2.0.0-rc1"},
	{Shows: "a gRPC stream as lines of JSON", Path: "/products?in_stock=true", Status: 200, Contains: `{"id":"tea-02",`},
	{Shows: "the same as server-sent events", Path: "/products", Header: []string{"Accept: text/event-stream"}, Status: 200, Contains: `data: {"id":"cup-04",`},
	{Shows: "a gRPC error is an HTTP status", Path: "/products/tea-99", Status: 404, Contains: `"code":"grpc_not_found"`},
	{Shows: "a parameter that no field has", Path: "/products?colour=red", Status: 400, Contains: `"code":"request_invalid"`},
	{Shows: "what a service sees of a request", Path: "/echo?a=1", Header: []string{"X-Forwarded-For: 6.6.6.6"}, Status: 200, Contains: "X-Client"},
	{Shows: "a condition on a cookie", Path: "/hello", Header: []string{"Cookie: visits=2"}, Status: 200, Contains: "Welcome back"},
	{Shows: "a redirect", Path: "/members/42", Status: 308, Contains: "Location: /users/42"},
	{Shows: "who asks without a token is not let in", Path: "/account", Status: 401, Contains: `"code":"identity_required"`},
	{Shows: "with the token of user 42: the gateway knows whose account it is", Path: "/account", Header: []string{"Authorization: Bearer " + tokenHere},
		Status: 200, Contains: "Asha Raman"},
	{Shows: "no such route: an answer with a code", Path: "/nothing/here", Status: 404, Contains: `"code":"no_route"`},
	{Shows: "the path exists, the method does not", Method: "DELETE", Path: "/users/42", Status: 405, Contains: "Allow: GET, HEAD"},
	{Shows: "a path that climbs is refused", Path: "/users/..%2fadmin", Status: 400, Contains: `"code":"bad_target"`},

	{Admin: true, Shows: "the services, live", Path: "/api/services", Status: 200, Contains: `"reviews"`},
	{Admin: true, Shows: "metrics for Prometheus", Path: "/metrics", Status: 200, Contains: "gopura_"},
	{Admin: true, Shows: "read the configuration again", Method: "POST", Path: "/api/reload", Header: []string{"Gopura-Admin: 1"}, Status: 200, Contains: `"generation"`},
}

// Curl is the command line that sends t to a server, such as
// http://localhost:8080.
func (t Try) Curl(server string) string {
	words := []string{"curl", "-i"}
	if t.Method != "" && (t.Method != "POST" || t.Body == "") {
		words = append(words, "-X", t.Method)
	}
	for _, h := range t.Header {
		words = append(words, "-H", quote(h))
	}
	if t.Body != "" {
		words = append(words, "-d", quote(t.Body))
	}
	url := server + t.Path
	if strings.ContainsAny(url, "?&*;") {
		url = quote(url)
	}
	return strings.Join(append(words, url), " ")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
