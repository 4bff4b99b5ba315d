package h1

import (
	"net"
	"syscall"
)

// corked lets what f writes to nc leave in one packet.
func corked(nc net.Conn, f func()) {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		panic(err)
	}
	set := func(v int) {
		raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, v) })
	}
	set(1)
	f()
	set(0)
}
