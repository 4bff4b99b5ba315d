package h1

import (
	"syscall"
	"unsafe"
)

// silent reports whether an idle socket has nothing to read: no byte, no end.
// The call can't block, so it is made without telling the scheduler.
func silent(fd int) bool {
	var b [1]byte
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return errno == syscall.EAGAIN
		}
	}
}
