package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryShare is how much of what its cgroup allows the Go runtime may use, in percent. The rest
// is for what it does not count: the kernel's buffers of sockets, and the pages of the binary.
const memoryShare = 90

// limitMemory makes the runtime keep within what the cgroup of the process allows, unless
// GOMEMLIMIT says otherwise: it then collects more often in place of being killed.
func limitMemory(log *slog.Logger) {
	if value := os.Getenv("GOMEMLIMIT"); value != "" {
		log.Info("memory limit", "limit", value, "from", "GOMEMLIMIT")
		return
	}
	limit, file, err := cgroupLimit(os.DirFS("/"))
	if err != nil {
		log.Debug("no memory limit", "reason", err)
		return
	}
	limit -= limit / 100 * (100 - memoryShare)
	debug.SetMemoryLimit(limit)
	log.Info("memory limit", "limit", fmt.Sprintf("%.1fMiB", float64(limit)/(1<<20)), "from", fmt.Sprintf("%d %% of %s", memoryShare, file))
}

var errNoLimit = errors.New("no cgroup limits it")

// cgroupLimit is the least number of bytes that the cgroup of this process, or one above it, allows, and
// the file that says so (cgroups(7)). In a container the path of /proc/self/cgroup may be that of the
// host, of which only the end of the way up is there.
func cgroupLimit(root fs.FS) (limit int64, file string, err error) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, "", err
	}
	limit = math.MaxInt64
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path; version 2 has the number 0 and no controllers
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, names := "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		if parts[1] != "" {
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			mount, names = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			for _, name := range names {
				at := path.Join(mount, dir, name)
				if n, ok := readLimit(root, at); ok && n < limit {
					limit, file = n, "/"+at
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	if file == "" {
		return 0, "", errNoLimit
	}
	return limit, file, nil
}

// readLimit reads a number of bytes; "max", and what version 1 says for it, is none.
func readLimit(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0 && n < math.MaxInt64>>2
}
