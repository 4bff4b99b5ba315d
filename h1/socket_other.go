//go:build !linux || race

package h1

import (
	"errors"
	"syscall"
)

// receive reads what is there. EAGAIN means nothing is.
func receive(fd uintptr, b []byte) (int, syscall.Errno) {
	return again(func() (int, error) { return syscall.Read(int(fd), b) })
}

// transmit writes what the socket takes, which may be less than b.
func transmit(fd uintptr, b []byte) (int, syscall.Errno) {
	return again(func() (int, error) { return syscall.Write(int(fd), b) })
}

// silent reports whether an idle socket has nothing to read: no byte, no end.
func silent(fd uintptr) bool {
	var b [1]byte
	_, errno := again(func() (int, error) {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		return n, err
	})
	return errno == syscall.EAGAIN
}

func again(call func() (int, error)) (int, syscall.Errno) {
	for {
		n, err := call()
		var errno syscall.Errno
		if err == nil || !errors.As(err, &errno) {
			return n, 0
		}
		if errno != syscall.EINTR {
			return n, errno
		}
	}
}
