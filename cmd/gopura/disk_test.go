//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// TestDiskRunsFull has the access log on a file system of 64 KiB that runs full:
// requests go on, what is lost is counted and said in one line of the log, and
// when there is room again, whole records follow.
func TestDiskRunsFull(t *testing.T) {
	dir, web, adm := t.TempDir(), freeport.Address(t), freeport.Address(t)
	if out, err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("no namespaces to mount in: %v %s", err, out)
	}
	path := file(t, fmt.Sprintf("listen: %s\nadmin: %s\naccess_log: %s/access.log\nroutes: [{match: /*, answer: {body: hello}}]\n", web, adm, dir))
	c := launchAs(t, exec.Command("unshare", "-rm", "/bin/sh", "-c",
		`mount -t tmpfs -o size=64k none "$0" && head -c 40000 /dev/zero >"$0/filler" && exec "$@"`, dir, os.Args[0], "run", "-c", path))
	eventually(t, "in force", func() bool { return strings.Contains(c.stderr.String(), "in force") })
	ask := func(n int) {
		t.Helper()
		for range n {
			if status, body := get("http://" + web + "/"); status != 200 || body != "hello" {
				t.Fatal(status, body)
			}
		}
	}
	for range 10 { // 100 records are about 25 KB
		ask(30)
		time.Sleep(50 * time.Millisecond)
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(c.stderr.String(), "access records are lost") })
	lost := func() (text string) {
		_, metrics := get("http://" + adm + "/metrics")
		for line := range strings.Lines(metrics) {
			if rest, ok := strings.CutPrefix(line, "gopura_access_records_dropped_total "); ok {
				text = strings.TrimSpace(rest)
			}
		}
		return text
	}
	if n := lost(); n == "0" || n == "" {
		t.Errorf("%q records are counted as lost", n)
	}
	ask(100)
	time.Sleep(300 * time.Millisecond)
	if log := c.stderr.String(); strings.Count(log, "access records are lost") != 1 || !strings.Contains(log, "no space left on device") {
		t.Errorf("the log:\n%s", log)
	}
	inside := filepath.Join("/proc", fmt.Sprint(c.Process.Pid), "root", dir)
	if err := os.Remove(filepath.Join(inside, "filler")); err != nil {
		t.Fatal(err)
	}
	if r, err := http.Get("http://" + web + "/after"); err != nil {
		t.Fatal(err)
	} else {
		r.Body.Close()
	}
	eventually(t, "records again", func() bool {
		text, _ := os.ReadFile(filepath.Join(inside, "access.log"))
		after := false
		for l := range strings.Lines(string(text)) {
			if !strings.HasSuffix(l, "\n") {
				return false // the rest of it comes first when there is room
			}
			if !strings.HasPrefix(l, "{") || !strings.HasSuffix(l, "}\n") || strings.Count(l, `{"time"`) != 1 {
				t.Fatalf("a torn record: %s", l)
			}
			after = strings.Contains(l, `"/after"`)
		}
		return after
	})
}
