package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gopura/internal/freeport"
)

//go:embed testdata
var testdata embed.FS

const (
	startTime = 10 * time.Second // to the first answer
	stopTime  = 5 * time.Second  // from SIGTERM to SIGKILL
)

// Proxy is one started proxy: its process, and those that it starts, are a process group.
type Proxy struct {
	Kind
	Address string // host:port for traffic
	Admin   string // host:port of the admin API, which only Gopura has
	dir     string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the first process has ended
}

// start runs a proxy with the configuration that the job has for it, in a
// folder of its own below dir, and waits for its first answer.
func start(ctx context.Context, k Kind, j Job, origin, dir string) (*Proxy, error) {
	p := &Proxy{Kind: k, dir: filepath.Join(dir, j.Name+"."+k.Name), ended: make(chan struct{})}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	p.Address, p.Admin = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	values := map[string]string{"PORT": ports[0], "ADMIN": ports[1], "ORIGIN": origin, "DIR": p.dir, "BUFFER": strconv.Itoa(j.Buffer), "CERTIFICATE": filepath.Join(dir, certificateFile), "TOKEN": j.Token}
	if j.Key != "" {
		if err := os.WriteFile(filepath.Join(p.dir, "issuer.pem"), []byte(j.Key), 0o644); err != nil {
			return nil, err
		}
	}
	if err := writeConfigs(p.dir, j.Config, values); err != nil {
		return nil, err
	}
	if err := p.run(filepath.Join(p.dir, j.Config+"."+k.Config)); err != nil {
		return nil, fmt.Errorf("%s: %w", k.Name, err)
	}
	if err := p.await(ctx, j); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w\n%s", k.Name, err, p.stderr())
	}
	return p, nil
}

// writeConfigs renders the files of a configuration, whichever proxy they are for.
func writeConfigs(dir, config string, values map[string]string) error {
	names, err := fs.Glob(testdata, "testdata/"+config+".*")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := testdata.ReadFile(name)
		if err != nil {
			return err
		}
		filled, err := render(string(text), values)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, path.Base(name)), []byte(filled), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// run starts the process in a group of its own, which dies with this program
// even when this one is killed. SIGTERM, and not SIGKILL, since the first
// process must take its workers along.
func (p *Proxy) run(config string) error {
	stdout, err := openAppend(filepath.Join(p.dir, "stdout.log"))
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := openAppend(filepath.Join(p.dir, "stderr.log"))
	if err != nil {
		return err
	}
	defer stderr.Close()
	program, ok := find(p.Program)
	if !ok {
		return fmt.Errorf("%s not found", p.Program)
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	p.cmd = exec.Command(program, p.Args(config, p.dir)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, stdout, stderr
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

func openAppend(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// await asks until the job's answer comes.
func (p *Proxy) await(ctx context.Context, j Job) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		var err error
		if j.Token != "" {
			err = checkToken(ctx, p.Address, j, p.Name == "checked")
		} else {
			err = check(ctx, p.Address, j)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no good answer: %w", err)
		case <-p.ended:
			return fmt.Errorf("ended: %s", p.cmd.ProcessState)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the whole group, gently at first.
func (p *Proxy) Stop() {
	group := -p.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
	}
	syscall.Kill(group, syscall.SIGKILL) // what is left of it
	<-p.ended
}

// Usage is what the proxy has used so far.
func (p *Proxy) Usage() (Usage, error) { return groupUsage("/proc", p.cmd.Process.Pid) }

// heap is the heap in use as Gopura's own metrics tell, after a collection, or 0.
func (p *Proxy) heap(ctx context.Context) float64 {
	ask(ctx, "http://"+p.Admin+"/debug/pprof/heap?gc=1")
	_, text, err := ask(ctx, "http://"+p.Admin+"/metrics")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_memstats_heap_inuse_bytes "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return n
		}
	}
	return 0
}

// records counts the lines of the access log and empties it. It waits a little
// for buffered lines when there are fewer than expected.
func (p *Proxy) records(ctx context.Context, expected int64) (int64, error) {
	var n int64
	for deadline := time.Now().Add(3 * time.Second); ; {
		n = 0
		for _, name := range []string{"stdout.log", "access.log"} {
			lines, err := countLines(filepath.Join(p.dir, name))
			if err != nil {
				return 0, err
			}
			n += lines
		}
		if n >= expected || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	for _, name := range []string{"stdout.log", "access.log"} {
		if err := os.Truncate(filepath.Join(p.dir, name), 0); err != nil && !os.IsNotExist(err) {
			return 0, err
		}
	}
	return n, nil
}

func countLines(name string) (int64, error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var n int64
	buf := make([]byte, 256<<10)
	for {
		size, err := f.Read(buf)
		n += int64(bytes.Count(buf[:size], []byte("\n")))
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// stderr is the end of what the proxy had to say.
func (p *Proxy) stderr() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "stderr.log"))
	return string(text[max(0, len(text)-4096):])
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		port, err := freeport.Find()
		if err != nil {
			return nil, err
		}
		ports = append(ports, strconv.Itoa(port))
	}
	return ports, nil
}
