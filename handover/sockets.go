package handover

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Sockets are the listening sockets of a process: those that it was given, and
// those that it has opened. The zero value was given none. It is safe for
// concurrent use.
type Sockets struct {
	mu       sync.Mutex
	given    []given
	open     []*listener
	followed bool // the process before this one goes on, with its UDP sockets
	secret   *[32]byte
}

// given is a socket that came with the process and that nobody has asked for.
type given struct {
	name string // as the one who gave it calls it; may be empty
	ln   *net.TCPListener
}

// listener is an open socket.
type listener struct {
	*net.TCPListener
	of      *Sockets
	address string // as it was asked for
	once    sync.Once
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { l.of.forget(l) })
	return l.TCPListener.Close()
}

// Listen returns a socket that listens on a TCP address: one that was given, by
// the address or by the name, or a new one. A nil s always opens a new one.
func (s *Sockets) Listen(name, address string) (net.Listener, error) {
	if s == nil {
		ln, err := listen(address)
		if err != nil {
			return nil, err
		}
		boundUnsent(ln)
		return ln, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ln := s.take(name, address)
	if ln == nil {
		opened, err := listen(address)
		if err != nil {
			return nil, err
		}
		ln = opened
	}
	boundUnsent(ln)
	l := &listener{TCPListener: ln, of: s, address: address}
	s.open = append(s.open, l)
	return l, nil
}

// listen opens a socket. Connections of Multipath TCP would not inherit what is set of it.
func listen(address string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// take finds a socket that was given for an address. A name counts before an
// address, and the address as it was asked for before where the socket listens.
func (s *Sockets) take(name, address string) *net.TCPListener {
	for _, fits := range []func(g given) bool{
		func(g given) bool { return name != "" && g.name == name },
		func(g given) bool { return g.name == "tcp "+address },
		func(g given) bool { return !strings.HasPrefix(g.name, "tcp ") && same(g.ln.Addr(), address) },
	} {
		for i, g := range s.given {
			if fits(g) {
				s.given = append(s.given[:i:i], s.given[i+1:]...)
				return g.ln
			}
		}
	}
	return nil
}

// same reports whether a socket listens on an address as a file writes it.
func same(at net.Addr, address string) bool {
	have, ok := at.(*net.TCPAddr)
	if !ok {
		return false
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || want.Port != have.Port || want.Port == 0 {
		return false
	}
	if len(want.IP) == 0 || want.IP.IsUnspecified() {
		return have.IP.IsUnspecified()
	}
	return want.IP.Equal(have.IP)
}

// UDPTaken reports whether UDP sockets are still those of the process before
// this one. They can be opened when it is gone.
func (s *Sockets) UDPTaken() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followed
}

// Secret is random, another one for each purpose, and the same in all processes that follow one
// another. What the one before has is known when that is gone.
func (s *Sockets) Secret(purpose string) [32]byte {
	shared := s.shared()
	mac := hmac.New(sha256.New, shared[:])
	mac.Write([]byte(purpose))
	return [32]byte(mac.Sum(nil))
}

// shared is what secrets are made of, and what goes from one process to the next.
func (s *Sockets) shared() (secret [32]byte) {
	if s == nil {
		rand.Read(secret[:])
		return secret
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secret == nil {
		s.secret = new([32]byte)
		rand.Read(s.secret[:])
	}
	return *s.secret
}

func (s *Sockets) forget(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.open {
		if o == l {
			s.open = append(s.open[:i:i], s.open[i+1:]...)
			return
		}
	}
}

// Unused closes the sockets that nobody has asked for, and names them.
func (s *Sockets) Unused() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.given {
		name := g.ln.Addr().String()
		if g.name != "" && !strings.HasPrefix(g.name, "tcp ") {
			name += " (" + g.name + ")"
		}
		names = append(names, name)
		g.ln.Close()
	}
	s.given = nil
	return names
}

// duplicates returns duplicates of the open sockets, each with its name.
// Descriptors, not files: a file that is asked for its descriptor makes the
// socket block, for all who hold it.
func (s *Sockets) duplicates() (fds []int, names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.open {
		fd, err := duplicate(l.TCPListener)
		if err != nil {
			closeAll(fds)
			return nil, nil, fmt.Errorf("socket %s: %w", l.Addr(), err)
		}
		fds, names = append(fds, fd), append(names, "tcp "+l.address)
	}
	return fds, names, nil
}

func duplicate(l *net.TCPListener) (fd int, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	if fault := raw.Control(func(from uintptr) {
		fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, first)
	}); fault != nil {
		return 0, fault
	}
	return fd, err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// adopt makes a listener of a descriptor that came with the process.
func (s *Sockets) adopt(fd int, name string) error {
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return errors.New("descriptor " + strconv.Itoa(fd) + " is none")
	}
	defer f.Close() // FileListener has its own
	ln, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return fmt.Errorf("descriptor %d is no TCP socket", fd)
	}
	s.given = append(s.given, given{name, tcp})
	return nil
}
