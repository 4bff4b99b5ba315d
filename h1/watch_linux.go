package h1

import (
	"os"
	"sync"
	"syscall"
)

// watch notices clients that go away while their request is being served. It
// has one epoll set for all connections of a server, to which each is added
// once; a request costs nothing. (The runtime's own poller tells a goroutine
// that waits to read, and the connection's goroutine waits for the upstream.)
//
// A half-closed connection counts as left, as it does for most servers: it
// can't be told from a closed one before an answer has been written to it.
type watch struct {
	epfd int
	file *os.File
	done chan struct{}

	mu    sync.Mutex
	conns map[int32]*conn
	gen   int32
}

// watchMark is how a watch knows a connection again: descriptors are reused,
// pairs of descriptor and generation are not.
type watchMark struct {
	fd, gen int32
	set     bool
}

const epollET = 1 << 31

func newWatch() *watch {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil // clients that leave are noticed when something is written to them
	}
	syscall.SetNonblock(epfd, true)
	w := &watch{epfd: epfd, file: os.NewFile(uintptr(epfd), "epoll"), done: make(chan struct{}), conns: map[int32]*conn{}}
	go w.run()
	return w
}

func (w *watch) add(c *conn) {
	if w == nil {
		return
	}
	sc, ok := base(c.link.nc).(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		w.mu.Lock()
		w.gen++
		c.mark = watchMark{int32(fd), w.gen, true}
		w.conns[w.gen] = c
		w.mu.Unlock()
		ev := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | epollET, Fd: c.mark.fd, Pad: c.mark.gen}
		if err := syscall.EpollCtl(w.epfd, syscall.EPOLL_CTL_ADD, int(fd), &ev); err != nil {
			w.remove(c)
		}
	})
}

// remove forgets c. Its descriptor leaves the set when it is closed.
func (w *watch) remove(c *conn) {
	if w == nil || !c.mark.set {
		return
	}
	w.mu.Lock()
	delete(w.conns, c.mark.gen)
	w.mu.Unlock()
}

func (w *watch) run() {
	defer close(w.done)
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	var events [128]syscall.EpollEvent
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, ev := range events[:n] {
			w.mu.Lock()
			c := w.conns[ev.Pad]
			w.mu.Unlock()
			if c != nil {
				c.left()
			}
		}
	}
}

func (w *watch) close() error {
	if w == nil {
		return nil
	}
	err := w.file.Close()
	<-w.done
	return err
}
