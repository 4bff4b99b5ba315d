package main

// row is a part of the dashboard.
type row struct {
	title  string
	panels []panel
}

// panel is a chart: what it asks Prometheus, and how the lines are called.
type panel struct {
	title   string
	text    string // what it shows, for whom the title does not do
	unit    string // of Grafana
	queries []query
	stack   bool
	rare    bool // there is nothing to see while all is well
}

type query struct{ expr, legend string }

// The variables of the dashboard.
const (
	of        = `job=~"$job",instance=~"$instance"`
	ofRoute   = of + `,route=~"$route"`
	ofService = of + `,service=~"$service"`
)

func one(expr, legend string) []query { return []query{{expr, legend}} }

func quantiles(metric, filter, by string) []query {
	q := func(p string) string {
		return `histogram_quantile(` + p + `, sum by (le` + by + `) (rate(` + metric + `_bucket{` + filter + `}[$__rate_interval])))`
	}
	return []query{{q("0.5"), "p50"}, {q("0.95"), "p95"}, {q("0.99"), "p99"}}
}

var rows = []row{
	{"How it goes", []panel{
		{title: "Requests", unit: "reqps", stack: true, queries: one(`sum by (status) (rate(gopura_requests_total{`+ofRoute+`}[$__rate_interval]))`, "{{status}}"),
			text: "Finished exchanges by the class of the answer."},
		{title: "Errors", unit: "percentunit", queries: []query{
			{`sum(rate(gopura_requests_total{` + ofRoute + `,status="5xx"}[$__rate_interval])) / sum(rate(gopura_requests_total{` + ofRoute + `}[$__rate_interval]))`, "5xx"},
			{`sum(rate(gopura_requests_total{` + ofRoute + `,status="4xx"}[$__rate_interval])) / sum(rate(gopura_requests_total{` + ofRoute + `}[$__rate_interval]))`, "4xx"}},
			text: "The share of answers that are errors."},
		{title: "Time to the last byte", unit: "s", queries: quantiles("gopura_request_duration_seconds", ofRoute, "")},
		{title: "In flight", unit: "short", queries: []query{{`sum(gopura_requests_in_flight{` + ofRoute + `})`, "exchanges"}, {`sum(gopura_connections_open{` + of + `})`, "connections"}}},
		{title: "What fails, and whose fault it is", unit: "reqps", rare: true, stack: true,
			queries: one(`sum by (code, side) (rate(gopura_requests_total{`+ofRoute+`,code!=""}[$__rate_interval]))`, "{{code}} ({{side}})")},
		{title: "Busiest routes", unit: "reqps", queries: one(`topk(10, sum by (route) (rate(gopura_requests_total{`+ofRoute+`}[$__rate_interval])))`, "{{route}}")},
	}},
	{"Services", []panel{
		{title: "Attempts", unit: "reqps", stack: true, queries: one(`sum by (service, outcome) (rate(gopura_upstream_attempts_total{`+ofService+`}[$__rate_interval]))`, "{{service}} {{outcome}}")},
		{title: "Time to the head of the answer, p95", unit: "s",
			queries: one(`histogram_quantile(0.95, sum by (le, service) (rate(gopura_upstream_duration_seconds_bucket{`+ofService+`}[$__rate_interval])))`, "{{service}}")},
		{title: "Targets that are well", unit: "short", queries: []query{
			{`sum by (service) (gopura_upstream_healthy{` + ofService + `})`, "{{service}}"}}},
		{title: "Retries", unit: "reqps", queries: []query{
			{`sum by (service) (rate(gopura_service_retries_total{` + ofService + `}[$__rate_interval]))`, "{{service}}"},
			{`sum by (service) (rate(gopura_service_retries_refused_total{` + ofService + `}[$__rate_interval]))`, "{{service}} held back"}}},
		{title: "Breakers", unit: "short", text: "0 closed, 1 half open, 2 open", queries: one(`max by (service) (gopura_service_breaker_state{`+ofService+`})`, "{{service}}")},
		{title: "Connections to targets", unit: "short", queries: one(`sum by (service, state) (gopura_upstream_connections{`+ofService+`})`, "{{service}} {{state}}")},
	}},
	{"Limits and overload", []panel{
		{title: "Refused by limits", unit: "reqps", rare: true, stack: true, queries: one(`sum by (route, policy) (rate(gopura_limited_total{`+ofRoute+`}[$__rate_interval]))`, "{{route}} {{policy}}")},
		{title: "Refused by the protection from overload", unit: "reqps", rare: true, stack: true,
			queries: one(`sum by (service, importance) (rate(gopura_overload_refused_total{`+of+`}[$__rate_interval]))`, "{{service}} {{importance}}")},
		{title: "Places of services", unit: "short", text: "Requests that may wait for an answer at a time; 0: nothing is bounded.",
			queries: one(`max by (service) (gopura_service_concurrency_limit{`+ofService+`})`, "{{service}}")},
		{title: "Waiting for a processor", unit: "s", queries: one(`max by (instance) (gopura_scheduling_delay_seconds{`+of+`})`, "{{instance}}")},
		{title: "Keys of limits", unit: "short", rare: true, queries: one(`sum by (limit, store) (gopura_limit_keys{`+of+`})`, "{{limit}} ({{store}})")},
		{title: "Caches", unit: "reqps", rare: true, stack: true, queries: one(`sum by (outcome) (rate(gopura_cache_requests_total{`+of+`}[$__rate_interval]))`, "{{outcome}}")},
	}},
	{"Aggregation", []panel{
		{title: "Calls", unit: "reqps", rare: true, stack: true, queries: one(`sum by (route, call, outcome) (rate(gopura_calls_total{`+ofRoute+`}[$__rate_interval]))`, "{{route}} {{call}} {{outcome}}")},
		{title: "Time of calls, p95", unit: "s", rare: true,
			queries: one(`histogram_quantile(0.95, sum by (le, route, call) (rate(gopura_call_duration_seconds_bucket{`+ofRoute+`}[$__rate_interval])))`, "{{route}} {{call}}")},
	}},
	{"The gateway itself", []panel{
		{title: "Processor", unit: "percentunit", queries: one(`sum by (instance) (rate(process_cpu_seconds_total{`+of+`}[$__rate_interval]))`, "{{instance}}")},
		{title: "Memory", unit: "bytes", queries: []query{
			{`sum by (instance) (process_resident_memory_bytes{` + of + `})`, "{{instance}} resident"},
			{`sum by (instance) (go_memstats_heap_alloc_bytes{` + of + `})`, "{{instance}} heap"}}},
		{title: "Goroutines", unit: "short", queries: one(`sum by (instance) (go_goroutines{`+of+`})`, "{{instance}}")},
		{title: "File descriptors", unit: "percentunit", queries: one(`max by (instance) (process_open_fds{`+of+`} / process_max_fds{`+of+`})`, "{{instance}}")},
		{title: "Configuration", unit: "short", text: "Its number, and old ones that streams still keep.", queries: []query{
			{`max by (instance) (gopura_config_generation{` + of + `})`, "{{instance}}"},
			{`max by (instance) (gopura_config_retiring{` + of + `})`, "{{instance}} retiring"}}},
		{title: "Certificates expire in", unit: "s", rare: true,
			queries: one(`min by (name) (gopura_tls_certificate_expiry_timestamp_seconds{`+of+`} > 0) - time()`, "{{name}}")},
	}},
}
