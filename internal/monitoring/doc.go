// Command monitoring writes the Grafana dashboard in packaging/monitoring from
// the table of its panels. Its test asks every panel of a real Prometheus that
// scrapes a real gateway.
package main
