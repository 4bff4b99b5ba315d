package main

import (
	"bytes"
	"testing"
	"time"
)

// TestMemoryOfMany holds what docs/scale.md says, at a smaller scale and with room for what a small number
// is too coarse for.
func TestMemoryOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	t.Chdir("../..")
	var out, progress bytes.Buffer
	all, err := run(t.Context(), options{connections: 600, routes: 1000, settle: 100 * time.Millisecond, progress: &progress, dir: t.TempDir()}, &out)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, progress.String(), out.String())
	}
	t.Logf("\n%s", out.String())
	most := map[string]int64{"plain": 12, "tls": 40, "h2": 24, "h2-tls": 48, "routes": 24} // KiB each
	if len(all) != len(most) {
		t.Fatalf("%d measurements, want %d", len(all), len(most))
	}
	for _, r := range all {
		if kib := r.each / 1024; kib > most[r.kind] || kib < 1 {
			t.Errorf("%s: %d KiB each, want 1 to %d", r.kind, kib, most[r.kind])
		}
	}
}
