package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// sample is what a process holds at a time.
type sample struct {
	at          time.Time
	pid         int64
	rate        float64 // requests in the second before
	rss, heap   float64 // bytes
	goroutines  float64
	descriptors float64
	connections float64 // of clients
	retiring    float64 // earlier configurations
}

// sample reads what the kernel and the metrics say of the process that serves.
func (g *gateway) sample() (s sample, err error) {
	s.at, s.pid = time.Now(), g.pid.Load()
	proc := fmt.Sprintf("/proc/%d/", s.pid)
	text, err := g.ask("GET", "/metrics")
	if err != nil {
		return s, err
	}
	metrics := parseMetrics(text)
	s.heap, s.goroutines = metrics["go_memstats_heap_inuse_bytes"], metrics["go_goroutines"]
	s.connections, s.retiring = metrics["gopura_connections_open"], metrics["gopura_config_retiring"]
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return s, err
	}
	if _, rest, ok := strings.Cut(string(status), "VmRSS:"); ok {
		kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		s.rss = kib * 1024
	}
	files, err := os.ReadDir(proc + "fd")
	s.descriptors = float64(len(files))
	return s, err
}

// parseMetrics sums the values of each metric over its labels.
func parseMetrics(text string) map[string]float64 {
	sums := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || i < 0 {
			continue
		}
		name, _, _ := strings.Cut(line[:i], "{")
		if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
			sums[name] += v
		}
	}
	return sums
}
