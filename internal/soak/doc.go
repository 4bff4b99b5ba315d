// Command soak holds a gateway under load for a long time, and says whether it stays as it
// is. It starts the real binary with a configuration as in production, asks it over
// HTTP/1.1, TLS, HTTP/2, HTTP/3, WebSockets and event streams, and meanwhile
//
//   - changes the configuration again and again, and rotates the access log;
//   - breaks a service (slow, resets, refuses, cuts answers short) and heals it;
//   - upgrades the binary now and then.
//
// Every answer is checked: it must be the one to this request (each has a tag), and whole.
// A failure is expected only of the service that is broken, and only while it is.
// Each second it reads memory, goroutines, descriptors and connections of the process that
// serves. In the end it prints whether they were flat, and exits with 1 when they were not, or when
// an answer was wrong.
//
//	make soak M=30                                   half an hour; writes docs/img/soak.svg
//	make soak ARGS='-upgrades 100 -reloads 1000'     so many, under load and without faults
//	go run ./internal/soak -minutes 2 -rate 100      a look; nothing is written
//
// # Flat
//
// Of each process that served, the first quarter of its life (at most two minutes) is warming up. Of the rest, the
// slope is the median of the slopes between all pairs of samples of one process (Theil and Sen), which
// some peaks don't move. It is flat when the slope, held for as long as was measured, makes less than
// a fifth of the median, or less than a small number that stands in flat.go. Then the load stops, and goroutines,
// descriptors and connections must go back to what they were before it began.
package main
