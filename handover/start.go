package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Successor is the process that takes over.
type Successor struct {
	PID  int
	gone *os.File // closed when this process ends, by the kernel if nobody else
}

// Start starts a program with all open sockets of s and waits until it says that
// it is ready. Until then, and when it fails or ctx ends first, which ends the
// program, nothing has changed. After that the caller stops accepting, and
// drains.
func (s *Sockets) Start(ctx context.Context, program string, args ...string) (*Successor, error) {
	fds, names, err := s.duplicates()
	if err != nil {
		return nil, err
	}
	defer closeAll(fds)
	ready, readyW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	defer readyW.Close()
	goneR, gone, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer goneR.Close()
	secret := s.shared()
	if _, err := gone.Write(secret[:]); err != nil { // it fits into the pipe: nobody has to read yet
		gone.Close()
		return nil, err
	}

	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}}
	for _, fd := range append(fds, int(readyW.Fd()), int(goneR.Fd())) {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	pipes := first + len(fds)
	attr.Env = append(os.Environ(), envNames+"="+strings.Join(names, "\n"), fmt.Sprintf("%s=%d %d", envPipes, pipes, pipes+1),
		envPID+"="+strconv.Itoa(os.Getpid()))
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), attr)
	if err != nil {
		gone.Close()
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	readyW.Close() // so that its end is the new process's
	process, err := os.FindProcess(pid)
	if err == nil {
		err = await(ctx, process, ready)
	}
	if err != nil {
		gone.Close()
		return nil, err
	}
	return &Successor{PID: pid, gone: gone}, nil
}

// await waits for the word of a process, which is reaped whenever it ends.
func await(ctx context.Context, process *os.Process, ready *os.File) error {
	ended := make(chan error, 1)
	go func() {
		state, err := process.Wait()
		if err == nil {
			err = errors.New(state.String())
		}
		ended <- err
	}()
	word := make(chan bool, 1)
	go func() {
		var b [1]byte
		n, _ := ready.Read(b[:])
		word <- n == 1
	}()
	select {
	case ok := <-word:
		if ok {
			return nil
		}
	case <-ctx.Done():
		process.Kill()
		<-ended
		return fmt.Errorf("the new process is not ready: %w", ctx.Err())
	}
	// The pipe is closed without a word: it has ended, or is about to.
	select {
	case err := <-ended:
		return fmt.Errorf("the new process has ended: %w", err)
	case <-ctx.Done():
		process.Kill()
		<-ended
		return errors.New("the new process does not take over")
	}
}
