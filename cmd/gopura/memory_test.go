package main

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

// What a cgroup allows is found in both versions, in containers of every kind, and where there is
// none, or no file, nothing is limited.
func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		limit int64
		from  string
	}{
		"nothing there": {},
		"no limit": {files: map[string]string{
			"proc/self/cgroup": "0::/user.slice\n", "sys/fs/cgroup/user.slice/memory.max": "max\n", "sys/fs/cgroup/user.slice/memory.high": "max\n"}},
		"version 2": {limit: 1 << 28, from: "/sys/fs/cgroup/system.slice/gopura.service/memory.max", files: map[string]string{
			"proc/self/cgroup": "0::/system.slice/gopura.service\n", "sys/fs/cgroup/system.slice/gopura.service/memory.max": "268435456\n"}},
		"the slice has less": {limit: 1 << 27, from: "/sys/fs/cgroup/system.slice/memory.max", files: map[string]string{
			"proc/self/cgroup":                      "0::/system.slice/gopura.service\n",
			"sys/fs/cgroup/system.slice/memory.max": "134217728\n", "sys/fs/cgroup/system.slice/gopura.service/memory.max": "268435456\n"}},
		"from where on it is slowed down": {limit: 1 << 27, from: "/sys/fs/cgroup/a/memory.high", files: map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "268435456\n", "sys/fs/cgroup/a/memory.high": "134217728\n"}},
		"a container with a name space": {limit: 1 << 28, from: "/sys/fs/cgroup/memory.max", files: map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}},
		"a container that sees the host's path": {limit: 1 << 28, from: "/sys/fs/cgroup/memory/memory.limit_in_bytes", files: map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/docker/1234\n4:hugetlb,memory:/docker/1234\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"}},
		"version 1": {limit: 1 << 28, from: "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", files: map[string]string{
			"proc/self/cgroup": "4:memory:/a/b\n1:name=systemd:/\n0::/\n", "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}},
		"version 1 without limit": {files: map[string]string{
			"proc/self/cgroup": "4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}},
		"nonsense": {files: map[string]string{
			"proc/self/cgroup": "nonsense\n0::../../etc\n::\n", "sys/fs/cgroup/memory.max": "-1\n"}},
	} {
		files := fstest.MapFS{}
		for file, text := range c.files {
			files[file] = &fstest.MapFile{Data: []byte(text), Mode: fs.ModePerm}
		}
		limit, from, err := cgroupLimit(files)
		if limit != c.limit || from != c.from || (err == nil) != (c.limit > 0) {
			t.Errorf("%s: %d from %q, %v; want %d from %q", name, limit, from, err, c.limit, c.from)
		}
	}
}
