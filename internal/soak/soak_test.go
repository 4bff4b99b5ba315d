package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var built struct {
	once sync.Once
	file string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.file != "" {
		os.RemoveAll(filepath.Dir(built.file))
	}
	os.Exit(code)
}

// binary is the real one, without the race detector, which needs many times the memory.
func binary(t *testing.T) string {
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "soak-test-")
		if err != nil {
			built.err = err
			return
		}
		built.file = filepath.Join(dir, "gopura")
		if out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", built.file, "../../cmd/gopura").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.file
}

// life is a process that is looked at each second: it warms up, and then holds what level says.
func life(pid int64, from, seconds int, level func(second int) float64) (samples []sample) {
	for i := range seconds {
		warming := max(0, 60-float64(i)) * 0.5
		samples = append(samples, sample{at: time.Unix(int64(from+i), 0), pid: pid, rss: (level(i) - warming) * (1 << 20)})
	}
	return samples
}

func TestFlat(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	steady := func(int) float64 { return 60 + noise.Float64()*8 }
	leak := func(i int) float64 { return steady(i) + float64(i)/40 } // 1.5 MiB a minute
	peaks := func(i int) float64 {
		if i%50 < 5 {
			return 150
		}
		return steady(i)
	}
	for name, c := range map[string]struct {
		samples      []sample
		judged, flat bool
	}{
		"steady":        {life(1, 0, 600, steady), true, true},
		"with peaks":    {life(1, 0, 600, peaks), true, true},
		"a leak":        {life(1, 0, 900, leak), true, false},
		"three lives":   {append(append(life(1, 0, 300, steady), life(2, 300, 300, steady)...), life(3, 600, 300, steady)...), true, true},
		"leaking lives": {append(life(1, 0, 900, leak), life(2, 900, 900, leak)...), true, false},
		"too short":     {life(1, 0, 30, leak), false, true},
		"nothing":       {nil, false, true},
	} {
		v := judge(measures[0], c.samples)
		if v.judged != c.judged || v.flat() != c.flat {
			t.Errorf("%s: judged %v, flat %v: it drifts by %s in %s, the limit is %s", name, v.judged, v.flat(), v.show(v.drift), v.over, v.show(v.limit()))
		}
	}
}

// TestShortRun is a soak of some seconds, with everything in it: the real binary, faults,
// reloads, an upgrade, and the chart of it.
func TestShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	var out, progress bytes.Buffer
	r, err := run(t.Context(), options{minutes: 0.1, rate: 120, upgradeEvery: 2500 * time.Millisecond, reloadEvery: 700 * time.Millisecond, faultEvery: 2 * time.Second, progress: &progress, dir: t.TempDir(), binary: binary(t)}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	t.Logf("%s", out.String())
	if r.reloaded < 2 || len(r.upgraded) == 0 || len(r.faults) == 0 || r.load.sent() < 100 {
		t.Errorf("%d reloads, %d upgrades, %d faults, %d requests", r.reloaded, len(r.upgraded), len(r.faults), r.load.sent())
	}
	for _, v := range r.load.visitors {
		if v.sent.Load() == 0 {
			t.Errorf("nobody came as %s", v.name)
		}
	}
	var chart strings.Builder
	r.draw(&chart)
	for d := xml.NewDecoder(strings.NewReader(chart.String())); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the chart is no XML: %v", err)
		}
	}
	if n := strings.Count(chart.String(), `class="upgrade"`); n != len(panels)*len(r.upgraded) {
		t.Errorf("%d lines for %d upgrades", n, len(r.upgraded))
	}
}

// TestAWrongAnswerIsFound: the checks can fail. Who answers with another tag, or not at all, is
// noticed, and excused only while it is the one that is broken.
func TestAWrongAnswerIsFound(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Generation", "1")
		io.WriteString(w, "another ")
	}))
	defer other.Close()
	for _, base := range []string{other.URL + "/", "http://127.0.0.1:1/"} {
		for _, frail := range []bool{false, true} {
			l := &load{services: &services{}, progress: io.Discard}
			l.services.broken.Store("")
			v := &visitor{name: "v", frail: frail, visit: l.echo(http.DefaultClient, base, 0)}
			l.once(v, "tag")
			if v.wrong.Load() != 1 || len(v.errors) != 1 {
				t.Errorf("%s: %d wrong, %q", base, v.wrong.Load(), v.errors)
			}
			l.services.broken.Store("slow")
			l.once(v, "tag")
			if excused := v.expected.Load() == 1; excused != frail {
				t.Errorf("%s: frail %v, excused %v while it is broken", base, frail, excused)
			}
		}
	}
}
