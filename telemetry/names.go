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
	serviceLimit
	serviceWaiting
	overloadRefused
	overloadPressure
	schedulingDelay
	callsTotal
	callSeconds
	limitedTotal
	shadowTotal
	storeUp
	storeDecisions
	storeCalls
	storeTimeouts
	storeTrips
	storeTripSeconds
	storeBreakerOpened
	storeWaiting
	storeQueueFull
	storeConnects
	storeReloads
	limitKeys
	limitBytes
	limitEvicted
	limitLeased
	limitOwed
	cacheRequests
	cacheBytes
	cacheSize
	cacheEntries
	connectionsAccepted
	connectionsRefused
	connectionsUnannounced
	connectionsOpen
	tlsHandshakes
	certificateExpiry
	keyFetches
	keySetAge
	reloadsTotal
	configApplied
	configGeneration
	configRetiring
	configRollbacks
	configInfo
	recordsDropped
	spansTotal
	buildInfo
	metricCount
)

// table is the one place that names metrics. A name, once released, keeps its
// meaning.
var table = [metricCount]Metric{
	requestsTotal:          {"gopura_requests_total", "counter", []string{"route", "status", "code", "side"}, "Finished exchanges. status is the class of the answer, 2xx, or none when there was no answer; code and side say what failed and whose fault it was, and are empty for an ordinary answer, also for a 5xx that the service itself gave. route is empty for requests that reached no route."},
	requestSeconds:         {"gopura_request_duration_seconds", "histogram", []string{"route"}, "Time from the first byte of the request to the last byte of the response."},
	requestsInFlight:       {"gopura_requests_in_flight", "gauge", []string{"route"}, "Exchanges that are not finished, streams and upgraded connections included."},
	requestBytes:           {"gopura_request_body_bytes_total", "counter", []string{"route"}, "Bytes of request bodies read from clients."},
	responseBytes:          {"gopura_response_body_bytes_total", "counter", []string{"route"}, "Bytes of response bodies written to clients."},
	attemptsTotal:          {"gopura_upstream_attempts_total", "counter", []string{"service", "target", "outcome"}, "Requests sent to targets, retries included. outcome is the class of the answer, 2xx, or the code of the error."},
	upstreamSeconds:        {"gopura_upstream_duration_seconds", "histogram", []string{"service", "target"}, "Time from the start of an attempt to its response head, of attempts that got one."},
	targetInFlight:         {"gopura_upstream_in_flight", "gauge", []string{"service", "target"}, "Attempts that are not finished."},
	targetHealthy:          {"gopura_upstream_healthy", "gauge", []string{"service", "target"}, "1 when the target is given requests, 0 when its health checks fail or it is ejected."},
	targetEjections:        {"gopura_upstream_ejections_total", "counter", []string{"service", "target"}, "How often the target was taken out because its requests failed."},
	targetConnections:      {"gopura_upstream_connections", "gauge", []string{"service", "target", "state"}, "Connections to the target. state is active or idle."},
	serviceRetries:         {"gopura_service_retries_total", "counter", []string{"service"}, "Attempts after the first."},
	serviceRetriesRefused:  {"gopura_service_retries_refused_total", "counter", []string{"service"}, "Retries that were not made because the budget was used up."},
	serviceBreaker:         {"gopura_service_breaker_state", "gauge", []string{"service"}, "Circuit breaker: 0 closed (requests pass), 1 half open (a few probe), 2 open (requests are refused)."},
	callsTotal:             {"gopura_calls_total", "counter", []string{"route", "call", "outcome"}, "Calls of composed routes that have ended. outcome is the class of the answer, 2xx, or the code of the error. Calls that were not to be made are not counted; one whose identical twin was made is counted by its code alone."},
	callSeconds:            {"gopura_call_duration_seconds", "histogram", []string{"route", "call"}, "Time of a call of a composed route: from when it could begin to the last byte of its answer, retries included."},
	serviceLimit:           {"gopura_service_concurrency_limit", "gauge", []string{"service"}, "Requests that may wait for the head of an answer at a time, as found by the protection from overload; 0: nothing is wrong, and nothing is bounded."},
	serviceWaiting:         {"gopura_service_waiting", "gauge", []string{"service"}, "Requests that wait for a place among those."},
	overloadRefused:        {"gopura_overload_refused_total", "counter", []string{"service", "importance", "mode"}, "Requests that were refused because the service had no place for them, or, where service is empty, because the gateway itself was saturated. With mode shadow: would have been."},
	overloadPressure:       {"gopura_overload_pressure", "gauge", nil, "How much is refused because the gateway itself is saturated: 0 nothing, 1 everything that is not critical."},
	schedulingDelay:        {"gopura_scheduling_delay_seconds", "gauge", nil, "How long what is ready to run had to wait for a processor in the last tenth of a second: nine of ten waited no longer."},
	limitedTotal:           {"gopura_limited_total", "counter", []string{"route", "policy", "mode"}, "Requests that limit, quota or concurrency refused, or in shadow mode would have refused; refusals: that a source of identity turned away. route is the route, \"service\" and a name for the limits of a service, or \"identity\" and that of a source."},
	shadowTotal:            {"gopura_shadow_refusals_total", "counter", []string{"route", "policy", "code"}, "Requests that a policy in shadow mode would have refused, with the code of the answer that they did not get."},
	storeUp:                {"gopura_store_up", "gauge", []string{"store"}, "1 when the store answers, 0 when its breaker is open and on_failure decides. store is memory or redis."},
	storeDecisions:         {"gopura_store_decisions_total", "counter", []string{"by"}, "Decisions about limits of the shared store, by what made them: leased or exact, the modes of the store; local, allow or refuse, when on_failure had to."},
	storeCalls:             {"gopura_store_calls_total", "counter", []string{"outcome"}, "Script calls to the shared store. outcome is ok or failed."},
	storeTimeouts:          {"gopura_store_timeouts_total", "counter", nil, "Decisions in exact mode that waited for the timeout of the store in vain."},
	storeTrips:             {"gopura_store_round_trips_total", "counter", nil, "Round trips to the shared store; each carries one call or many."},
	storeTripSeconds:       {"gopura_store_round_trip_seconds_total", "counter", nil, "How long they took, all together."},
	storeBreakerOpened:     {"gopura_store_breaker_opened_total", "counter", nil, "How often the breaker of the shared store opened."},
	storeWaiting:           {"gopura_store_waiting", "gauge", nil, "Calls that wait to be sent to the shared store."},
	storeQueueFull:         {"gopura_store_queue_full_total", "counter", nil, "Calls that were not made because too many were waiting."},
	storeConnects:          {"gopura_store_connects_total", "counter", nil, "How often a client of the shared store was made, with connections of its own: once at the start, and again when probes go on failing."},
	storeReloads:           {"gopura_store_script_reloads_total", "counter", nil, "How often the shared store had forgotten a script, and was sent it again."},
	limitKeys:              {"gopura_limit_keys", "gauge", []string{"limit", "store"}, "Keys that this process remembers, those that are idle included."},
	limitBytes:             {"gopura_limit_bytes", "gauge", []string{"limit", "store"}, "Memory that they take."},
	limitEvicted:           {"gopura_limit_evicted_total", "counter", []string{"limit", "store"}, "Keys in use that had to make room, because max_keys were in use; of the shared store: decisions about keys that there was no room for."},
	limitLeased:            {"gopura_limit_leased_tokens", "gauge", []string{"limit"}, "Tokens of the shared store that this replica has leased and not used."},
	limitOwed:              {"gopura_limit_owed_tokens", "gauge", []string{"limit"}, "Tokens that this replica used ahead of the shared store, and has not settled yet."},
	cacheRequests:          {"gopura_cache_requests_total", "counter", []string{"owner", "outcome"}, "Requests that a cache policy looked at. outcome is hit (fresh, from memory), stale (old, from memory), confirmed (the service said that it still holds), miss, collapsed (given what another request had asked for) or bypass. owner is the route, \"service\" and a name, or a route and a call."},
	cacheBytes:             {"gopura_cache_bytes", "gauge", []string{"storage"}, "Memory that answers take, about. storage is shared, or the owner of a cache with a size of its own."},
	cacheSize:              {"gopura_cache_size_bytes", "gauge", []string{"storage"}, "Memory that they may take."},
	cacheEntries:           {"gopura_cache_entries", "gauge", []string{"storage"}, "Answers that are kept, and notes about resources whose answers differ or are not kept."},
	connectionsAccepted:    {"gopura_connections_accepted_total", "counter", []string{"listener"}, "Client connections that were accepted."},
	connectionsRefused:     {"gopura_connections_refused_total", "counter", []string{"listener"}, "Client connections that were closed at once because there were too many."},
	connectionsUnannounced: {"gopura_connections_unannounced_total", "counter", []string{"listener"}, "Connections that were closed because their PROXY header was missing or could not be read: whom they are from is not known."},
	connectionsOpen:        {"gopura_connections_open", "gauge", []string{"listener"}, "Client connections that are open."},
	tlsHandshakes:          {"gopura_tls_handshakes_total", "counter", []string{"listener", "outcome"}, "TLS handshakes of clients. outcome is full, resumed (of an earlier session) or failed."},
	certificateExpiry:      {"gopura_tls_certificate_expiry_timestamp_seconds", "gauge", []string{"listener", "name"}, "When a certificate that the listener presents expires, in Unix time; 0 while there is none yet (ACME). name is the first one in the certificate."},
	keyFetches:             {"gopura_identity_key_fetches_total", "counter", []string{"identity", "outcome"}, "Fetches of the keys that the issuer of a jwt or oidc source publishes. outcome is ok or failed; while they fail, the last good keys are used."},
	keySetAge:              {"gopura_identity_keys_age_seconds", "gauge", []string{"identity"}, "How long ago the keys in use were fetched. Absent while there are none: requests are answered with 503."},
	reloadsTotal:           {"gopura_config_reloads_total", "counter", []string{"outcome"}, "Configurations that were offered. outcome is applied or refused."},
	configApplied:          {"gopura_config_last_applied_timestamp_seconds", "gauge", nil, "When the configuration in force was applied, in Unix time."},
	configGeneration:       {"gopura_config_generation", "gauge", nil, "Number of the configuration in force; the first one is 1."},
	configRetiring:         {"gopura_config_retiring", "gauge", nil, "Earlier configurations that exchanges still end with: long streams and tunnels keep theirs."},
	configRollbacks:        {"gopura_config_rollbacks_total", "counter", nil, "How often an earlier configuration was put in force again, by hand or because errors jumped."},
	configInfo:             {"gopura_config_info", "gauge", []string{"hash"}, "Always 1. hash identifies the content of the configuration in force."},
	recordsDropped:         {"gopura_access_records_dropped_total", "counter", nil, "Access records that were lost because the sink stalled or failed."},
	spansTotal:             {"gopura_trace_spans_total", "counter", []string{"outcome"}, "Spans of traces. outcome is sent (the collector took them), dropped (the queue was full), or failed (the collector did not take them)."},
	buildInfo:              {"gopura_build_info", "gauge", []string{"version", "revision", "go"}, "Always 1. Which build this is."},
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
