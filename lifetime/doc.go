// Package lifetime says who cleans up, and when.
//
// A Scope owns what a configuration opened; building it, and failing to build
// it, end in the same Close. A Pool lets the next configuration adopt what the
// last one holds (connections, health, buckets, caches), by key. Current pins a
// snapshot for the time of a request and retires it when the last one has left.
package lifetime
