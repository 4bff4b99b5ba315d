package route_test

import (
	"fmt"

	"gopura/exchange"
	"gopura/route"
)

func ExampleBuild() {
	table, conflicts := route.Build([]route.Rule[string]{
		{Name: "user", Methods: []string{"GET"}, Path: "/users/{id}", Value: "users"},
		{Name: "files", Hosts: []string{"*.example.com"}, Path: "/files/*", Value: "files"},
		{Name: "person", Methods: []string{"GET"}, Path: "/users/{name}", Value: "people"},
	})
	for _, c := range conflicts {
		fmt.Println(c.Kind, c.Rule, c.Message)
	}

	var x exchange.Exchange
	x.Request.Method = "GET"
	x.Request.Host = []byte("api.example.com")
	x.Request.Path, _ = route.Clean(&x.Arena, []byte("/x/../users/4%32"), route.CleanOptions{})
	service, outcome := table.Match(&x)
	fmt.Println(service, outcome == route.Found, string(x.Request.Param("id")))
	// Output:
	// ambiguous 2 matches the same requests as "user" and is not more specific: add a condition or a priority to one of them
	// users true 42
}
