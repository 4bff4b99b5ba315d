package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where and with what was measured.
type Machine struct {
	CPU      string
	Cores    int
	Memory   string
	Kernel   string
	Go       string
	Load     string   // of the minute before
	Versions []string // "NGINX 1.22.1"
}

func describe(ctx context.Context, ks []Kind) Machine {
	read := func(name string) string {
		text, _ := os.ReadFile(name)
		return strings.TrimSpace(string(text))
	}
	load, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	m := Machine{
		CPU:    orElse(field(read("/proc/cpuinfo"), "model name"), runtime.GOARCH),
		Cores:  runtime.NumCPU(),
		Memory: gibibytes(field(read("/proc/meminfo"), "MemTotal")),
		Kernel: read("/proc/sys/kernel/osrelease"),
		Go:     runtime.Version(),
		Load:   load,
	}
	for _, k := range ks {
		m.Versions = append(m.Versions, k.Title+" "+version(ctx, k.Program, k.Version))
	}
	m.Versions = append(m.Versions, "wrk "+version(ctx, "wrk", []string{"-v"}))
	return m
}

// noise says what the load average means for the figures.
func (m Machine) noise() string {
	if load, err := strconv.ParseFloat(m.Load, 64); err != nil || load > 0.5 {
		return "other work is running, so the figures will be noisy"
	}
	return "the machine is quiet"
}

// field finds "name : value" in a file of /proc.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// gibibytes turns "24684528 kB" into "24 GiB".
func gibibytes(text string) string {
	kilo, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GiB", kilo/(1<<20))
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

// version is the first number with dots that a program prints about itself.
func version(ctx context.Context, program string, args []string) string {
	path, _ := find(program)
	out, _ := exec.CommandContext(ctx, path, args...).CombinedOutput() // wrk -v ends with 1
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return orElse(versionNumber.FindString(line), "(this tree)")
}
