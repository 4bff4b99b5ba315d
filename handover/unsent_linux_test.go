package handover

import (
	"net"
	"testing"
	"time"
)

// A client that does not read makes the kernel hold little of its answer, not all that it
// has room for.
func TestKernelHoldsLittleForClientsThatDoNotRead(t *testing.T) {
	l, err := new(Sockets).Listen("main", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.(*net.TCPConn).SetReadBuffer(4 << 10)
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	taken := 0
	server.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for piece := make([]byte, 16<<10); err == nil; {
		var n int
		n, err = server.Write(piece)
		taken += n
	}
	if taken > 512<<10 {
		t.Errorf("the kernel has taken %d bytes", taken)
	}
}
