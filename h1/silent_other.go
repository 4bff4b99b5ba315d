//go:build !linux

package h1

import "syscall"

// silent reports whether an idle socket has nothing to read: no byte, no end.
func silent(fd int) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}
