package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gopuraBinary is where the harness builds the gateway, from the project's root.
const gopuraBinary = "bin/gopura"

// find looks in PATH and where Debian puts servers, which isn't in every user's PATH.
func find(program string) (string, bool) {
	if path, err := exec.LookPath(program); err == nil {
		return path, true
	}
	path := filepath.Join("/usr/sbin", program)
	_, err := os.Stat(path)
	return path, err == nil
}

// install gets the programs that are missing from the distribution.
func install(ctx context.Context, programs []string, progress io.Writer) error {
	var missing []string
	for _, p := range programs {
		if _, ok := find(p); !ok {
			missing = append(missing, p)
		}
	}
	if missing == nil {
		return nil
	}
	var packages []string
	for _, p := range missing {
		if p == "h2load" {
			p = "nghttp2-client"
		}
		packages = append(packages, p)
	}
	command := "apt-get install -y --no-install-recommends " + strings.Join(packages, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s not found; run: sudo %s", strings.Join(missing, ", "), command)
	}
	fmt.Fprintf(progress, "installing %s from the distribution\n", strings.Join(missing, ", "))
	for _, line := range []string{"apt-get update", command} {
		args := strings.Fields(line)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		// RUNLEVEL=1 keeps the packages from starting their services, which would listen beyond loopback.
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		cmd.Stdout, cmd.Stderr = progress, progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

// build makes bin/gopura from the tree as it is.
func build(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-o", gopuraBinary, "./cmd/gopura").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
