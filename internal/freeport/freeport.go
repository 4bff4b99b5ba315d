// Package freeport finds loopback ports for processes that tests and tools start.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The kernel hands out ports from 32768 on (net.ipv4.ip_local_port_range) to
// whoever listens at port 0 or connects. A port from there may be somebody else's
// by the time that a process listens, or while it is restarted. These are not
// handed out; and 10,000 above each, where a Redis cluster talks to itself, is
// neither handed out nor found here.
const first, ports = 12000, 10000

// Find returns a port of 127.0.0.1 at which nobody listens. Nobody else comes to it
// but by bad luck.
func Find() (int, error) {
	for range 100 {
		port := first + rand.IntN(ports)
		if l, err := net.Listen("tcp", at(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port was found in 100 attempts")
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Port is Find for a test.
func Port(t testing.TB) int {
	t.Helper()
	port, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Address is the address of a Port.
func Address(t testing.TB) string {
	t.Helper()
	return at(Port(t))
}
