package handover

import (
	"net"

	"golang.org/x/sys/unix"
)

// maxUnsent bounds what the kernel takes of an answer before the client makes room for
// it. Without that it takes up to 4 MB for each client that does not read: some hundreds of
// them use up the memory that there is for TCP, and nobody is served any more.
const maxUnsent = 128 << 10

// boundUnsent sets the bound for the connections that ln will accept: they inherit it. A
// kernel that does not know it goes on as before.
func boundUnsent(ln *net.TCPListener) {
	if c, err := ln.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent) })
	}
}
