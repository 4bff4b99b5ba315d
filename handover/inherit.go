package handover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The environment by which a process is told what it was given. Addresses are
// separated by newlines: no address has one.
const (
	envNames = "GOPURA_HANDOVER"        // names of the descriptors from 3 on
	envPipes = "GOPURA_HANDOVER_PIPES"  // descriptors: ready to write to, gone to read from
	envPID   = "GOPURA_HANDOVER_PARENT" // who gives them: they are meant for its child only
)

// first is the descriptor after standard input, output and error.
const first = 3

// Taken is what a process has been given by the one before it.
type Taken struct {
	*Sockets
	ready, gone *os.File // nil: there is none before it
}

// Inherit takes what this process was given when it was started: by the gateway
// that it follows, or by a service manager (LISTEN_FDS). It is to be called once,
// early, and clears the environment, so that no child mistakes it for its own.
func Inherit() (*Taken, error) {
	t := &Taken{Sockets: new(Sockets)}
	defer clearEnv()
	if names, ok := os.LookupEnv(envNames); ok && os.Getenv(envPID) == strconv.Itoa(os.Getppid()) {
		return t, t.fromGateway(names)
	}
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		return t, t.fromManager()
	}
	return t, nil
}

func clearEnv() {
	for _, name := range []string{envNames, envPipes, envPID, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
}

func (t *Taken) fromGateway(names string) error {
	var ready, gone int
	if _, err := fmt.Sscanf(os.Getenv(envPipes), "%d %d", &ready, &gone); err != nil {
		return fmt.Errorf("%s: %w", envPipes, err)
	}
	for _, fd := range []int{ready, gone} {
		syscall.CloseOnExec(fd)
	}
	t.followed = true
	t.ready, t.gone = os.NewFile(uintptr(ready), "ready"), os.NewFile(uintptr(gone), "gone")
	if names == "" {
		return nil
	}
	for i, name := range strings.Split(names, "\n") {
		syscall.CloseOnExec(first + i)
		if err := t.adopt(first+i, name); err != nil {
			return err
		}
	}
	return nil
}

// fromManager takes sockets by the protocol of sd_listen_fds(3).
func (t *Taken) fromManager() error {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 1024 {
		return errors.New("LISTEN_FDS is no number of descriptors")
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		name := ""
		if i < len(names) && names[i] != "unknown" {
			name = names[i]
		}
		syscall.CloseOnExec(first + i)
		if err := t.adopt(first+i, name); err != nil {
			return err
		}
	}
	return nil
}

// Follows reports whether there is a process before this one that waits for it.
func (t *Taken) Follows() bool { return t.ready != nil }

// Ready tells the process before this one that it may stop.
func (t *Taken) Ready() error {
	if t.ready == nil {
		return nil
	}
	_, err := t.ready.Write([]byte{1})
	return errors.Join(err, t.ready.Close())
}

// Gone waits until the process before this one has ended.
func (t *Taken) Gone() {
	var left []byte
	if t.gone != nil {
		// Its secret, unless it was a version that had none, and then the end, when the kernel closes it.
		left, _ = io.ReadAll(io.LimitReader(t.gone, int64(len(t.secret))))
		io.Copy(io.Discard, t.gone)
		t.gone.Close()
	}
	t.mu.Lock()
	if len(left) == len(t.secret) && t.secret == nil {
		t.secret = (*[32]byte)(left)
	}
	t.followed = false
	t.mu.Unlock()
}
