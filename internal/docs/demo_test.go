package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demo is a running `gopura demo`.
type demo struct{ client, admin string } // host:port

// startDemo runs the demo on free ports until the test ends.
func startDemo(t *testing.T) demo {
	t.Helper()
	cmd := exec.Command(gopura(t), "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // shown when something fails
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the demo's log:\n%s", log.String())
		}
	})
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n')
	m := regexp.MustCompile(`http://(\S+); .*http://(\S+)\.$`).FindStringSubmatch(strings.TrimSpace(first))
	if m == nil {
		t.Fatalf("the demo says %q (%v)", first, err)
	}
	go io.Copy(io.Discard, r)
	return demo{m[1], m[2]}
}

// TestDemoSnippets sends what the pages send, to a demo of its own each.
func TestDemoSnippets(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	for _, d := range writtenPages(t) {
		var commands []command
		for _, b := range d.blocks {
			if b.language == "console" && b.mark == "demo" {
				commands = append(commands, b.commands()...)
			}
		}
		if len(commands) == 0 {
			continue
		}
		t.Run(d.path, func(t *testing.T) {
			run := startDemo(t)
			settle(t, run)
			place := strings.NewReplacer("localhost:8080", run.client, "127.0.0.1:9900", run.admin)
			for _, c := range commands {
				runCommand(t, d, c, place.Replace(c.text), t.TempDir())
			}
		})
	}
}

// settle waits until the first health checks of the demo have been made.
func settle(t *testing.T, run demo) {
	t.Helper()
	for range 100 {
		if text := get(t, "http://"+run.admin+"/api/services"); !strings.Contains(text, "unchecked") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the targets of the demo have not been checked after 5s")
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var adminPath = regexp.MustCompile(`^(?:GET |POST |PUT )?(/(?:api|debug)/[a-z/-]+|/livez|/readyz|/metrics)$`)

// TestAdminPathsExist asks a running gateway for every path of the admin
// listener that a page names.
func TestAdminPathsExist(t *testing.T) {
	run := startDemo(t)
	settle(t, run)
	known := map[string]int{}
	for _, d := range writtenPages(t) {
		for _, s := range d.spans() {
			m := adminPath.FindStringSubmatch(s.text)
			if m == nil || strings.Contains(m[1], "profile") || strings.HasSuffix(m[1], "trace") {
				continue
			}
			if _, ok := known[m[1]]; !ok {
				known[m[1]] = status(t, "http://"+run.admin+m[1])
			}
			if known[m[1]] == http.StatusNotFound {
				t.Errorf("%s:%d: the admin listener has no %s", d.path, s.number, m[1])
			}
		}
	}
	if len(known) < 5 {
		t.Errorf("only %d paths were found: the pattern is wrong", len(known))
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", url, err))
	}
	res.Body.Close()
	return res.StatusCode
}
