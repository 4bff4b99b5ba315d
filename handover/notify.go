package handover

import (
	"net"
	"os"
	"strings"
	"time"
)

// Notify tells the service manager something, by the protocol of sd_notify(3):
// "READY=1", "STOPPING=1", "MAINPID=7". Without a manager that listens
// (NOTIFY_SOCKET), nothing happens.
func Notify(lines ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if path[0] == '@' { // the abstract name space
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(time.Second))
	_, err = c.Write([]byte(strings.Join(lines, "\n")))
	return err
}
