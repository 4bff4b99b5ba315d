package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// sbomTool reads what is linked into a binary from the binary itself.
const sbomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// release is what is being made, and where.
type release struct {
	version string
	out     string // folder
	built   []string
}

func main() {
	r := release{}
	flag.StringVar(&r.version, "version", "0.1.0-dev", "what the binary says it is")
	flag.StringVar(&r.out, "out", "dist", "folder for the results")
	archs := flag.String("arch", "amd64,arm64", "architectures, for linux")
	sbom := flag.Bool("sbom", true, "write a bill of materials (needs the network once)")
	verify := flag.Bool("verify", false, "build again in another folder without any cache, and compare")
	flag.Parse()
	if err := r.run(strings.Split(*archs, ","), *sbom, *verify); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) run(archs []string, sbom, verify bool) error {
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "gopura-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	own := filepath.Join(work, "own")
	if err := build(".", own, runtime.GOARCH, r.version, nil); err != nil {
		return err
	}
	pages, err := papers(own)
	if err != nil {
		return err
	}
	for _, arch := range archs {
		fmt.Println("building for linux/" + arch)
		binary := filepath.Join(work, "gopura-"+arch)
		if err := build(".", binary, arch, r.version, nil); err != nil {
			return err
		}
		if verify {
			if err := again(binary, arch, r.version, work); err != nil {
				return err
			}
		}
		if err := r.pack(binary, arch, pages, sbom); err != nil {
			return err
		}
	}
	return r.sums()
}

// build builds the binary from the source in a folder.
func build(source, binary, arch, version string, env []string) error {
	to, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", "-s -w -buildid= -X main.version="+version, "-o", to, "./cmd/gopura")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build for %s: %w\n%s", arch, err, out)
	}
	return nil
}

// again builds from a copy of the source, in another folder and with an empty
// cache, and complains when the result is another one.
func again(binary, arch, version, work string) error {
	copied := filepath.Join(work, "copy-"+arch)
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		body, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := write(filepath.Join(copied, name), body, 0o644); err != nil {
			return err
		}
	}
	fmt.Println("building it again, from nothing")
	second := filepath.Join(work, "second-"+arch)
	if err := build(copied, second, arch, version, []string{"GOCACHE=" + filepath.Join(work, "cache-"+arch)}); err != nil {
		return err
	}
	a, err := sum(binary)
	if err != nil {
		return err
	}
	b, err := sum(second)
	if err != nil {
		return err
	}
	if a != b {
		return fmt.Errorf("two builds for %s differ: %s and %s", arch, a, b)
	}
	fmt.Println("the same bytes:", a)
	return nil
}

// pack writes the archive of a binary, and what belongs beside it.
func (r *release) pack(binary, arch string, pages []paper, sbom bool) error {
	body, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("gopura-%s-linux-%s", r.version, arch)
	files := append([]paper{{"gopura", body, 0o755}}, pages...)
	at := filepath.Join(r.out, name+".tar.gz")
	packed, err := archive(name, files)
	if err != nil {
		return err
	}
	if err := write(at, packed, 0o644); err != nil {
		return err
	}
	r.built = append(r.built, at)
	if err := r.image(body, arch); err != nil {
		return err
	}
	if !sbom {
		return nil
	}
	bill := filepath.Join(r.out, name+".cdx.json")
	cmd := exec.Command("go", "run", sbomTool, "bin", "-json", "-noserial", "-std", "-output", bill, "-version", r.version, binary)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bill of materials: %w\n%s", err, out)
	}
	r.built = append(r.built, bill)
	return nil
}

// image writes what packaging/Containerfile copies: the file system of the
// container, whole.
func (r *release) image(binary []byte, arch string) error {
	root := filepath.Join(r.out, "image", arch)
	if err := write(filepath.Join(root, "gopura"), binary, 0o755); err != nil {
		return err
	}
	passwd := []byte("gopura:x:65532:65532:Gopura:/:/sbin/nologin\n")
	if err := write(filepath.Join(root, "etc/passwd"), passwd, 0o644); err != nil {
		return err
	}
	for _, file := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"} {
		if roots, err := os.ReadFile(file); err == nil {
			return write(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"), roots, 0o644)
		}
	}
	return errors.New("no certificate authorities on this machine: install ca-certificates")
}

// sums writes the checksums of all that was built.
func (r *release) sums() error {
	var b strings.Builder
	slices.Sort(r.built)
	for _, file := range r.built {
		s, err := sum(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", s, filepath.Base(file))
	}
	fmt.Print(b.String())
	return write(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}

func sum(file string) (string, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(body)), nil
}

func write(file string, body []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, body, mode)
}
