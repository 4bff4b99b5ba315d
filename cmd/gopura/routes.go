package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gopura/exchange"
	"gopura/gateway"
)

func newRoutes() *cobra.Command {
	var path, client string
	var headers []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "routes [[METHOD] URL]",
		Short: "List the routes, or say which one takes a request",
		Long: `Routes lists the routes of a configuration, the most specific first: the order in
which they are considered. The order in the file has no meaning.

With a request it says which route takes it, and why the others don't. The exit
code is then 1 when no route does. Nothing is sent anywhere.`,
		Example: `  gopura routes
  gopura routes /users/42
  gopura routes POST http://shop.example.com/orders?dry=1 -H 'X-Plan: gold'
  gopura routes --json | jq -r '.[].name'`,
		Args: cobra.MaximumNArgs(2),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "a header field of the request, as 'Name: value'; may be given again")
	cmd.Flags().StringVar(&client, "client", "127.0.0.1", "the client's address, for conditions on client.ip")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var x *exchange.Exchange
		if len(args) > 0 {
			var err error
			if x, err = parseRequest(args, headers, client); err != nil {
				return err // the command line's fault
			}
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			o, err := gateway.CompileOffline(loader(path))
			if err != nil {
				return err
			}
			defer o.Close()
			if x == nil {
				return listRoutes(cmd.OutOrStdout(), o, asJSON)
			}
			return explainRoutes(cmd.OutOrStdout(), o, x, asJSON)
		})(cmd, args)
	}
	return cmd
}

// listRoutes prints every route, the most specific first.
func listRoutes(w io.Writer, o *gateway.Offline, asJSON bool) error {
	routes := gateway.RoutesOf(o.Document)
	sorted := make([]gateway.RouteInfo, 0, len(routes))
	for _, i := range o.Order() {
		sorted = append(sorted, routes[i])
	}
	if asJSON {
		return printJSON(w, sorted)
	}
	reserved := o.Reserved()
	if len(sorted)+len(reserved) == 0 {
		fmt.Fprintln(w, "no routes")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MATCH\tTO\tPOLICIES\tROUTE\tAT")
	for _, path := range slices.Sorted(maps.Keys(reserved)) { // before all routes
		fmt.Fprintf(t, "%s\t%s\t-\t-\t-\n", path, reserved[path])
	}
	for _, r := range sorted {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", condition(r), r.To, or(strings.Join(r.Policies, " "), "-"), named(r), r.Origin)
	}
	return t.Flush()
}

// condition is what a route takes, with what its text leaves out.
func condition(r gateway.RouteInfo) string {
	if r.Priority != 0 {
		return fmt.Sprintf("%s (priority %d)", r.Match, r.Priority)
	}
	return r.Match
}

// named is the name of a route, unless it is only its text.
func named(r gateway.RouteInfo) string {
	if r.Name == r.Match {
		return "-"
	}
	return r.Name
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// verdict is what becomes of a request.
type verdict struct {
	Status     int         `json:"status,omitempty"` // when no route takes it
	Code       string      `json:"code,omitempty"`
	Detail     string      `json:"detail,omitempty"`
	Route      string      `json:"route,omitempty"`
	Preflight  string      `json:"preflight,omitempty"` // the method that it asks leave for: the route's cors policy answers
	Reserved   bool        `json:"reserved,omitempty"`  // no route: a source of identity answers this path itself
	To         string      `json:"to,omitempty"`
	Params     []param     `json:"params,omitempty"`
	Plan       string      `json:"plan,omitempty"` // of a composed route: what waits for what
	Candidates []candidate `json:"candidates"`
}

type param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type candidate struct {
	Route  string `json:"route"`
	Origin string `json:"origin"`
	To     string `json:"to"`
	Won    bool   `json:"won"`
	Reason string `json:"reason,omitempty"` // why it lost
}

// explainRoutes says which route takes x and why the others don't.
func explainRoutes(w io.Writer, o *gateway.Offline, x *exchange.Exchange, asJSON bool) error {
	v := judge(o, x)
	if asJSON {
		if err := printJSON(w, v); err != nil {
			return err
		}
	} else {
		v.print(w)
	}
	if v.Route == "" {
		return errReported
	}
	return nil
}

func judge(o *gateway.Offline, x *exchange.Exchange) verdict {
	v := verdict{Candidates: []candidate{}}
	list, err := o.Candidates(x)
	if err != nil {
		e := exchange.AsError(err)
		v.Status, v.Code, v.Detail = e.Status, e.Code, e.Detail
		if v.Detail == "" && e.Err != nil {
			v.Detail = e.Err.Error()
		}
		return v
	}
	if name := o.Reserved()[string(x.Request.Path)]; name != "" {
		v.Route, v.To, v.Reserved = name, name, true
		return v
	}
	v.Preflight = o.Preflight(x)
	routes := gateway.RoutesOf(o.Document)
	for _, c := range list {
		r := routes[c.Rule]
		v.Candidates = append(v.Candidates, candidate{r.Name, r.Origin, r.To, c.Won, c.Reason})
		if c.Won {
			v.Route, v.To, v.Plan = r.Name, r.To, o.Tree(c.Rule)
		}
	}
	if v.Route != "" {
		for _, p := range x.Request.Params {
			v.Params = append(v.Params, param{p.Name, string(p.Value)})
		}
		return v
	}
	v.Status, v.Code = exchange.NoRoute.Status, exchange.NoRoute.Name
	if allowed := o.Allowed(x); len(allowed) > 0 {
		v.Status, v.Code = exchange.MethodNotAllowed.Status, exchange.MethodNotAllowed.Name
		v.Detail = "allowed: " + strings.Join(allowed, ", ")
	}
	return v
}

func (v *verdict) print(w io.Writer) {
	if v.Route == "" {
		fmt.Fprintf(w, "no route takes it: %d %s", v.Status, v.Code)
		if v.Detail != "" {
			fmt.Fprintf(w, " (%s)", v.Detail)
		}
		fmt.Fprintln(w)
	}
	if v.Reserved {
		fmt.Fprintf(w, "* %s answers this path itself, before any route and on every host\n", v.Route)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range v.Candidates {
		mark, why := "-", c.Reason
		if c.Won {
			mark, why = "*", "takes it, to "+c.To
			if v.Preflight != "" {
				why = "its cors policy answers the preflight for " + v.Preflight
			}
			for _, p := range v.Params {
				why += fmt.Sprintf(", path.%s = %s", p.Name, p.Value)
			}
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\n", mark, c.Route, c.Origin, why)
	}
	t.Flush()
	for line := range strings.Lines(v.Plan) {
		fmt.Fprint(w, "    ", line)
	}
}

func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
