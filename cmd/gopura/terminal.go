package main

import (
	"bufio"
	"context"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// terminal is a terminal in which keys come one by one, on its second screen.
type terminal struct {
	in, out *os.File
	before  syscall.Termios
}

// openTerminal takes the terminal over; close gives it back as it was.
func openTerminal(in, out *os.File) (*terminal, error) {
	t := &terminal{in: in, out: out}
	if err := t.control(in, syscall.TCGETS, unsafe.Pointer(&t.before)); err != nil {
		return nil, err
	}
	var size winsize
	if err := t.control(out, syscall.TIOCGWINSZ, unsafe.Pointer(&size)); err != nil {
		return nil, err
	}
	raw := t.before
	raw.Lflag &^= syscall.ICANON | syscall.ECHO
	raw.Cc[syscall.VMIN], raw.Cc[syscall.VTIME] = 0, 2 // a read returns after 0.2 s without a key, so that it can end
	if err := t.control(in, syscall.TCSETS, unsafe.Pointer(&raw)); err != nil {
		return nil, err
	}
	out.WriteString("\x1b[?1049h\x1b[?25l")
	return t, nil
}

func (t *terminal) control(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func (t *terminal) close() {
	t.out.WriteString("\x1b[?25h\x1b[?1049l")
	t.control(t.in, syscall.TCSETS, unsafe.Pointer(&t.before))
}

type winsize struct{ rows, columns, x, y uint16 }

// size is how many characters there is room for.
func (t *terminal) size() (columns, rows int) {
	var w winsize
	if t.control(t.out, syscall.TIOCGWINSZ, unsafe.Pointer(&w)) != nil || w.rows == 0 || w.columns == 0 {
		return 80, 24
	}
	return int(w.columns), int(w.rows)
}

// draw shows lines from the top, and nothing below them.
func (t *terminal) draw(lines []string) {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	w := bufio.NewWriter(t.out)
	w.WriteString(b.String())
	w.Flush()
}

// keys are those that are pressed, until ctx ends.
func (t *terminal) keys(ctx context.Context) <-chan byte {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		b := make([]byte, 1)
		for ctx.Err() == nil {
			n, err := syscall.Read(int(t.in.Fd()), b)
			if err != nil && err != syscall.EINTR && err != syscall.EAGAIN {
				return
			}
			if n != 1 {
				continue
			}
			select {
			case keys <- b[0]:
			case <-ctx.Done():
				return
			}
		}
	}()
	return keys
}
