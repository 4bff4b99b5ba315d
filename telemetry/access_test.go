package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a sink that does what the test says.
type script struct {
	mu     sync.Mutex
	writes [][]byte
	closed int
	write  func(b []byte) (int, error) // nil: takes everything
}

func (s *script) Write(b []byte) (int, error) {
	n, err := len(b), error(nil)
	if s.write != nil {
		n, err = s.write(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, bytes.Clone(b[:n]))
	return n, err
}

func (s *script) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(bytes.Join(s.writes, nil))
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

func open(t testing.TB, c AccessConfig, s *script) *AccessLog {
	t.Helper()
	l, err := newAccessLog(c, &sink{s, func() error { s.closed++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A quiet gateway writes a record after the flush time, and many in one write.
func TestRecordsAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		l := open(t, AccessConfig{}, s)
		for range 3 {
			l.Record(sample(), start)
		}
		time.Sleep(flushAfter - time.Millisecond)
		if n := s.count(); n != 0 {
			t.Fatalf("%d writes before the flush time", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n := s.count(); n != 1 || strings.Count(s.text(), "\n") != 3 {
			t.Fatalf("%d writes: %s", n, s.text())
		}
		l.Record(sample(), start)
		if err := l.Close(); err != nil || strings.Count(s.text(), "\n") != 4 || s.closed != 1 {
			t.Fatalf("after Close: %v, %d closes: %s", err, s.closed, s.text())
		}
		l.Record(sample(), start)
		if l.Dropped() != 1 || l.Close() != nil {
			t.Errorf("after Close: %d dropped", l.Dropped())
		}
	})
}

// A busy one does not wait for the flush time.
func TestFullBatchesAreWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		l := open(t, AccessConfig{}, s)
		n := batchSize/len(jsonLine(sample(), start)) + 1
		for range n {
			l.Record(sample(), start)
		}
		synctest.Wait()
		if s.count() != 1 || len(s.writes[0]) > batchSize || len(s.writes[0]) < batchSize*9/10 {
			t.Errorf("%d writes", s.count())
		}
		l.Close()
		if got := strings.Count(s.text(), "\n"); got != n || l.Dropped() != 0 {
			t.Errorf("%d of %d records, %d dropped", got, n, l.Dropped())
		}
	})
}

// Every record is written or counted as dropped, none is torn, and each
// goroutine's stay in order.
func TestManyWriters(t *testing.T) {
	s := &script{}
	l := open(t, AccessConfig{Queue: 2 * batchSize, Flush: time.Millisecond}, s)
	const writers, each = 8, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			x := sample()
			x.Service = fmt.Sprint(w)
			for i := range each {
				x.Attempts = i
				l.Record(x, start)
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	last := map[string]int{}
	written := 0
	for line := range strings.Lines(s.text()) {
		var v struct {
			Service  string
			Attempts int
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if n, ok := last[v.Service]; ok && v.Attempts <= n {
			t.Fatalf("writer %s: %d after %d", v.Service, v.Attempts, n)
		}
		last[v.Service] = v.Attempts
		written++
	}
	if written+int(l.Dropped()) != writers*each {
		t.Errorf("%d written, %d dropped of %d", written, l.Dropped(), writers*each)
	}
}

// A sink that stalls costs records and bounded memory, and no caller waits.
func TestStalledSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		s := &script{write: func(b []byte) (int, error) { <-resume; return len(b), nil }}
		l := open(t, AccessConfig{Queue: 2 * batchSize}, s)
		const n = 10_000
		begin := time.Now()
		for range n {
			l.Record(sample(), start)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("callers waited %v", d)
		}
		kept := n - int(l.Dropped())
		if max := 5 * batchSize / len(jsonLine(sample(), start)); kept == 0 || kept > max {
			t.Errorf("%d records are kept", kept)
		}
		if err := l.Close(); err == nil || time.Since(begin) != closeAfter {
			t.Errorf("Close: %v after %v", err, time.Since(begin))
		}
		close(resume)
		<-l.done
		if got := strings.Count(s.text(), "\n"); got != kept {
			t.Errorf("%d of %d kept records are written", got, kept)
		}
	})
}

// A sink that fails costs the records of its batch; a line of which it took
// half is completed first when it recovers.
func TestFailingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 2
		s := &script{}
		s.write = func(b []byte) (int, error) {
			if failures--; failures >= 0 {
				return min(len(b)/2, 500*failures), syscall.ENOSPC
			}
			return len(b), nil
		}
		l := open(t, AccessConfig{}, s)
		flush := func() { time.Sleep(2 * flushAfter) }
		for range 4 {
			l.Record(sample(), start)
		}
		flush() // takes one line and a bit
		if l.Dropped() != 2 || !errors.Is(l.Err(), syscall.ENOSPC) {
			t.Errorf("%d dropped, %v", l.Dropped(), l.Err())
		}
		l.Record(sample(), start)
		flush() // takes nothing
		l.Record(sample(), start)
		if err := l.Close(); err != nil || l.Dropped() != 3 {
			t.Errorf("%d dropped, %v", l.Dropped(), err)
		}
		if want := strings.Repeat(jsonLine(sample(), start), 3); s.text() != want {
			t.Errorf("got\n%swant\n%s", s.text(), want)
		}
	})
}

func TestReopenAfterRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	os.WriteFile(path, []byte("kept\n"), 0o600)
	l, err := NewAccessLog(AccessConfig{To: path, Format: "text", Flush: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(sample(), start)
	waitFor(t, func() bool { return lineCount(path) == 2 })

	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Record(sample(), start)
	waitFor(t, func() bool { return lineCount(path) == 1 })

	// A path that can't be opened changes nothing.
	os.Rename(path, path+".2")
	os.Mkdir(path, 0o700)
	if err := l.Reopen(); err == nil {
		t.Error("reopened a folder")
	}
	l.Record(sample(), start)
	if err := l.Close(); err != nil || lineCount(path+".1") != 2 || lineCount(path+".2") != 2 {
		t.Errorf("%v; %d and %d lines", err, lineCount(path+".1"), lineCount(path+".2"))
	}
	os.Remove(path)
	if err := l.Reopen(); err == nil {
		t.Error("reopened a closed log")
	}
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

func lineCount(path string) int {
	b, _ := os.ReadFile(path)
	return bytes.Count(b, []byte("\n"))
}

// openFiles counts the descriptors of this process below dir.
func openFiles(t *testing.T, dir string) (n int) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not in time")
}

// A named pipe is an error when nobody reads it, and a stalled one does not
// keep the gateway from ending.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if l, err := NewAccessLog(AccessConfig{To: path}); err == nil {
		l.Close()
		t.Fatal("a pipe without a reader was opened")
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := NewAccessLog(AccessConfig{To: path, Queue: 2 * batchSize})
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 { // more than a pipe holds
		l.Record(sample(), start)
	}
	if err := l.Close(); err == nil {
		t.Error("Close did not see the stall")
	}
	<-l.done
	got, _ := io.ReadAll(r)
	if n := bytes.Count(got, []byte("\n")); n == 0 || uint64(2000-n) < l.Dropped() || l.Dropped() == 0 {
		t.Errorf("%d lines, %d dropped", n, l.Dropped())
	}
}

func TestAccessConfigIsChecked(t *testing.T) {
	for _, c := range []AccessConfig{
		{},
		{To: "stdout", Format: "xml"},
		{To: filepath.Join(t.TempDir(), "no", "such", "folder")},
	} {
		if _, err := NewAccessLog(c); err == nil {
			t.Errorf("%+v is accepted", c)
		} else if !strings.HasPrefix(err.Error(), "access log: ") {
			t.Error(err)
		}
	}
	l, err := NewAccessLog(AccessConfig{To: "stderr"})
	if err != nil || l.Reopen() != nil || l.Close() != nil {
		t.Error(err)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := open(t, AccessConfig{}, &script{write: func(b []byte) (int, error) { return 0, io.ErrClosedPipe }})
	defer l.Close()
	x := sample()
	for range 1000 { // fill the free list
		l.Record(x, start)
	}
	if n := testing.AllocsPerRun(5000, func() { l.Record(x, start) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	l, err := NewAccessLog(AccessConfig{To: filepath.Join(b.TempDir(), "access.log")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	end := start.Add(1534567)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		x := sample()
		for pb.Next() {
			l.Record(x, end)
		}
	})
	b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
}

// A stalled sink costs no more than a working one.
func BenchmarkAccessLogStalled(b *testing.B) {
	resume := make(chan struct{})
	l := open(b, AccessConfig{}, &script{write: func(p []byte) (int, error) { <-resume; return len(p), nil }})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		x := sample()
		for pb.Next() {
			l.Record(x, start)
		}
	})
	close(resume)
	l.Close()
}

// Lost records are told about soon, and then once a minute, however many they are.
func TestLossesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		var room atomic.Bool
		s := &script{write: func(b []byte) (int, error) {
			if room.Load() {
				return len(b), nil
			}
			return 0, syscall.ENOSPC
		}}
		l := open(t, AccessConfig{Lost: func(n uint64, err error) {
			mu.Lock()
			told = append(told, fmt.Sprint(n, " ", err))
			mu.Unlock()
		}}, s)
		for range 900 { // a record every 100 ms
			l.Record(sample(), start)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second) // the last of them is flushed
		room.Store(true)
		time.Sleep(5 * time.Minute)
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 3 || !strings.HasSuffix(told[0], "no space left on device") {
			t.Errorf("told %q", told)
		}
		total := 0
		for _, text := range told {
			n := 0
			fmt.Sscan(text, &n)
			total += n
		}
		if total != int(l.Dropped()) || total != 900 {
			t.Errorf("%d records are told of, %d are lost: %q", total, l.Dropped(), told)
		}
	})
}
