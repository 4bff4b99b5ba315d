package telemetry

import (
	"bytes"
	"slices"
	"strings"
)

// Metric describes a metric for the docs page.
type Metric struct {
	Name   string
	Kind   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// The metrics of the gateway, as indexes of table.
const (
	requestsTotal = iota
	requestSeconds
	requestsInFlight
	requestBytes
	responseBytes
	attemptsTotal
	upstreamSeconds
	targetInFlight
	targetHealthy
	targetEjections
	targetConnections
	serviceRetries
	serviceRetriesRefused
	serviceBreaker
	limitedTotal
	shadowTotal
	connectionsAccepted
	connectionsRefused
	connectionsOpen
	tlsHandshakes
	reloadsTotal
	configApplied
	configGeneration
	configRetiring
	configInfo
	recordsDropped
	buildInfo
	metricCount
)

// table is the one place that names metrics. A name, once released, keeps its
// meaning.
var table = [metricCount]Metric{
	requestsTotal:         {"gopura_requests_total", "counter", []string{"route", "status", "code", "side"}, "Finished exchanges. status is the class of the answer, 2xx, or none when there was no answer; code and side say what failed and whose fault it was, and are empty for an ordinary answer, also for a 5xx that the service itself gave. route is empty for requests that reached no route."},
	requestSeconds:        {"gopura_request_duration_seconds", "histogram", []string{"route"}, "Time from the first byte of the request to the last byte of the response."},
	requestsInFlight:      {"gopura_requests_in_flight", "gauge", []string{"route"}, "Exchanges that are not finished, streams and upgraded connections included."},
	requestBytes:          {"gopura_request_body_bytes_total", "counter", []string{"route"}, "Bytes of request bodies read from clients."},
	responseBytes:         {"gopura_response_body_bytes_total", "counter", []string{"route"}, "Bytes of response bodies written to clients."},
	attemptsTotal:         {"gopura_upstream_attempts_total", "counter", []string{"service", "target", "outcome"}, "Requests sent to targets, retries included. outcome is the class of the answer, 2xx, or the code of the error."},
	upstreamSeconds:       {"gopura_upstream_duration_seconds", "histogram", []string{"service", "target"}, "Time from the start of an attempt to its response head, of attempts that got one."},
	targetInFlight:        {"gopura_upstream_in_flight", "gauge", []string{"service", "target"}, "Attempts that are not finished."},
	targetHealthy:         {"gopura_upstream_healthy", "gauge", []string{"service", "target"}, "1 when the target is given requests, 0 when its health checks fail or it is ejected."},
	targetEjections:       {"gopura_upstream_ejections_total", "counter", []string{"service", "target"}, "How often the target was taken out because its requests failed."},
	targetConnections:     {"gopura_upstream_connections", "gauge", []string{"service", "target", "state"}, "Connections to the target. state is active or idle."},
	serviceRetries:        {"gopura_service_retries_total", "counter", []string{"service"}, "Attempts after the first."},
	serviceRetriesRefused: {"gopura_service_retries_refused_total", "counter", []string{"service"}, "Retries that were not made because the budget was used up."},
	serviceBreaker:        {"gopura_service_breaker_state", "gauge", []string{"service"}, "Circuit breaker: 0 closed (requests pass), 1 half open (a few probe), 2 open (requests are refused)."},
	limitedTotal:          {"gopura_limited_total", "counter", []string{"route", "policy", "mode"}, "Requests that limit, quota or concurrency refused, or in shadow mode would have refused. route is the route, or \"service\" and a name for the limits of a service."},
	shadowTotal:           {"gopura_shadow_refusals_total", "counter", []string{"route", "policy", "code"}, "Requests that a policy in shadow mode would have refused, with the code of the answer that they did not get."},
	connectionsAccepted:   {"gopura_connections_accepted_total", "counter", []string{"listener"}, "Client connections that were accepted."},
	connectionsRefused:    {"gopura_connections_refused_total", "counter", []string{"listener"}, "Client connections that were closed at once because there were too many."},
	connectionsOpen:       {"gopura_connections_open", "gauge", []string{"listener"}, "Client connections that are open."},
	tlsHandshakes:         {"gopura_tls_handshakes_total", "counter", []string{"listener", "outcome"}, "TLS handshakes of clients. outcome is full, resumed (of an earlier session) or failed."},
	reloadsTotal:          {"gopura_config_reloads_total", "counter", []string{"outcome"}, "Configurations that were offered. outcome is applied or refused."},
	configApplied:         {"gopura_config_last_applied_timestamp_seconds", "gauge", nil, "When the configuration in force was applied, in Unix time."},
	configGeneration:      {"gopura_config_generation", "gauge", nil, "Number of the configuration in force; the first one is 1."},
	configRetiring:        {"gopura_config_retiring", "gauge", nil, "Earlier configurations that exchanges still end with: long streams and tunnels keep theirs."},
	configInfo:            {"gopura_config_info", "gauge", []string{"hash"}, "Always 1. hash identifies the content of the configuration in force."},
	recordsDropped:        {"gopura_access_records_dropped_total", "counter", nil, "Access records that were lost because the sink stalled or failed."},
	buildInfo:             {"gopura_build_info", "gauge", []string{"version", "revision", "go"}, "Always 1. Which build this is."},
}

// Names lists the metrics of the gateway. Beside them are those of the Go
// runtime (go_*) and of the process (process_*).
func Names() []Metric {
	out := slices.Clone(table[:])
	for i := range out {
		out[i].Labels = slices.Clone(out[i].Labels)
	}
	return out
}

// Reference returns the docs page of the metrics, in Markdown.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString("# Metrics\n\nThe admin listener serves them at `/metrics`, in the Prometheus text format or as OpenMetrics.\n" +
		"Beside the ones below there are those of the Go runtime (`go_*`) and of the process (`process_*`).\n\n" +
		"| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range table {
		labels := "none"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		b.WriteString("| `" + m.Name + "` | " + m.Kind + " | " + labels + " | " + m.Help + " |\n")
	}
	return b.Bytes()
}
