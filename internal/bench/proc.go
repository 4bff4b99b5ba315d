package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what the processes of a group have used since they started.
type Usage struct {
	CPU          time.Duration // exact, from schedstat
	User, System time.Duration // from stat, in ticks of 10 ms: good for the ratio of the two
	RSS          int64         // bytes in memory, summed over the processes
}

// Since is the use between two readings; RSS is the later one.
func (u Usage) Since(before Usage) Usage {
	return Usage{CPU: u.CPU - before.CPU, User: u.User - before.User, System: u.System - before.System, RSS: u.RSS}
}

// Split divides the exact time in the proportion of the ticks.
func (u Usage) Split() (user, system time.Duration) {
	ticks := u.User + u.System
	if ticks <= 0 {
		return 0, u.CPU
	}
	user = time.Duration(float64(u.CPU) * float64(u.User) / float64(ticks))
	return user, u.CPU - user
}

// tick is USER_HZ, which is 100 on every Linux that Go runs on.
const tick = time.Second / 100

// groupUsage sums over the processes of a process group: a proxy's master and its workers.
func groupUsage(proc string, group int) (Usage, error) {
	var sum Usage
	stats, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	if err != nil {
		return sum, err
	}
	found := false
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		s, err := parseStat(string(text))
		if err != nil {
			return sum, fmt.Errorf("%s: %w", name, err)
		}
		if s.group != group {
			continue
		}
		found = true
		dir := filepath.Dir(name)
		cpu, err := threadsCPU(dir)
		if err != nil {
			return sum, err
		}
		rss, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		if err != nil {
			return sum, err
		}
		bytes, err := parseRollup(string(rss))
		if err != nil {
			return sum, err
		}
		sum.CPU += cpu
		sum.User += s.user
		sum.System += s.system
		sum.RSS += bytes
	}
	if !found {
		return sum, fmt.Errorf("no process in group %d", group)
	}
	return sum, nil
}

// stat is what we use of /proc/PID/stat.
type stat struct {
	group        int
	user, system time.Duration
}

// parseStat reads from behind the program's name, which may hold spaces and parentheses (proc(5)).
func parseStat(text string) (stat, error) {
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 13 {
		return stat{}, fmt.Errorf("bad stat %q", text)
	}
	group, err1 := strconv.Atoi(f[2])
	user, err2 := strconv.ParseInt(f[11], 10, 64)
	system, err3 := strconv.ParseInt(f[12], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return stat{}, fmt.Errorf("bad stat %q", text)
	}
	return stat{group: group, user: time.Duration(user) * tick, system: time.Duration(system) * tick}, nil
}

// threadsCPU sums over the threads of a process.
func threadsCPU(dir string) (time.Duration, error) {
	names, err := filepath.Glob(filepath.Join(dir, "task", "*", "schedstat"))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		d, err := parseSchedstat(text)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += d
	}
	return sum, nil
}

// parseSchedstat reads "nanoseconds-on-cpu nanoseconds-waiting timeslices".
func parseSchedstat(text []byte) (time.Duration, error) {
	first, _, ok := bytes.Cut(text, []byte(" "))
	n, err := strconv.ParseInt(string(first), 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("bad schedstat %q", text)
	}
	return time.Duration(n), nil
}

// parseRollup reads the Rss line of /proc/PID/smaps_rollup, the figure that is exact
// where VmRSS may lag behind.
func parseRollup(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Rss:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no Rss in smaps_rollup")
}
