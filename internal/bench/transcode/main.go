// Command transcode measures what a REST request to a gRPC service costs: by
// Gopura, and by grpc-gateway's generated mux, one after the other in the same
// run, before the same service and under the same load. What counts is the CPU
// time (user and system) of the process in between, for each request.
//
//	go run . -gopura ../../../bin/gopura
//
// It is a module of its own, so that the product does not depend on grpc-gateway.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"

	"gopura/internal/bench/transcode/benchpb"
)

func main() {
	role := flag.String("role", "", "")
	to := flag.String("to", "", "")
	binary := flag.String("gopura", "../../../bin/gopura", "the gateway")
	seconds := flag.Int("seconds", 5, "of each measurement")
	rounds := flag.Int("rounds", 3, "of all measurements")
	clients := flag.Int("clients", 32, "connections")
	flag.Parse()
	switch *role {
	case "service":
		serve()
	case "grpc-gateway":
		proxy(*to)
	default:
		measure(*binary, time.Duration(*seconds)*time.Second, *rounds, *clients)
	}
}

// catalog is the service.
type catalog struct {
	benchpb.UnimplementedCatalogServer
}

func (catalog) GetProduct(_ context.Context, r *benchpb.GetProductRequest) (*benchpb.Product, error) {
	return &benchpb.Product{
		Id: r.Id, Name: "Assam second flush", Price: &benchpb.Money{Currency: "INR", Units: 450, Nanos: 500000000}, Stock: 1200,
		Tags: []string{"black", "assam", "loose leaf"}, Description: strings.Repeat("malty, from the Brahmaputra valley. ", 20),
	}, nil
}

func (catalog) PutProduct(_ context.Context, p *benchpb.Product) (*benchpb.Product, error) {
	return p, nil
}

func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	s := grpc.NewServer()
	benchpb.RegisterCatalogServer(s, catalog{})
	reflection.Register(s)
	log.Fatal(s.Serve(l))
}

func proxy(to string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := runtime.NewServeMux()
	if err := benchpb.RegisterCatalogHandlerFromEndpoint(context.Background(), mux, to, []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	log.Fatal(http.Serve(l, mux))
}

// start starts a process that says its address in its first line.
func start(name string, args ...string) (*exec.Cmd, string) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when we fail
	out, err := cmd.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	return cmd, strings.TrimSpace(line)
}

func startGopura(binary, service, dir string) (*exec.Cmd, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	file := filepath.Join(dir, "gopura.yaml")
	err = os.WriteFile(file, fmt.Appendf(nil, "listen: %q\naccess_log: off\noverload: off\nlog: error\nservices: {catalog: \"grpc://%s\"}\nroutes: [{match: /*, to: catalog, grpc: bench.v1.Catalog}]\n", address, service), 0o600)
	if err != nil {
		log.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "-c", file)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when we fail
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	for range 100 {
		if r, err := http.Get("http://" + address + "/v1/products/1"); err == nil {
			r.Body.Close()
			if r.StatusCode == 200 {
				return cmd, address
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	log.Fatal("the gateway does not answer")
	return nil, ""
}

// measure prints a line for each kind of request, its cells separated by tabs.
func measure(binary string, d time.Duration, rounds, clients int) {
	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	service, address := start(self, "-role", "service")
	defer service.Process.Kill()
	other, otherAddress := start(self, "-role", "grpc-gateway", "-to", address)
	defer other.Process.Kill()
	dir, err := os.MkdirTemp("", "gopura-bench-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ours, ourAddress := startGopura(binary, address, dir)
	defer ours.Process.Kill()
	body := `{"name":"Assam second flush","price":{"currency":"INR","units":"450","nanos":500000000},"stock":"1200","tags":["black","assam","loose leaf"],"description":"` + strings.Repeat("malty, from the Brahmaputra valley. ", 20) + `"}`
	requests := []struct{ name, text string }{
		{"GET, answer of 1 KB", "GET /v1/products/tea-01 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"PUT, 1 KB both ways", fmt.Sprintf("PUT /v1/products/tea-01 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)},
	}
	for _, r := range requests {
		var gopura, gateway, ratio []float64
		for round := range rounds {
			a, n := load(ourAddress, r.text, ours.Process.Pid, d, clients)
			b, m := load(otherAddress, r.text, other.Process.Pid, d, clients)
			gopura, gateway, ratio = append(gopura, a), append(gateway, b), append(ratio, a/b)
			fmt.Fprintf(os.Stderr, "transcode %-20s round %d: Gopura %6.1f µs CPU (%d requests), grpc-gateway %6.1f µs CPU (%d requests), ratio %.2f\n", r.name, round+1, a, n, b, m, a/b)
		}
		fmt.Printf("%s\t%.1f\t%.1f\t%.2f\n", r.name, median(gopura), median(gateway), median(ratio))
	}
}

// load sends the request over and over, and returns the CPU time that the
// process spends on one.
func load(address, text string, pid int, d time.Duration, clients int) (float64, int64) {
	var done atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				log.Fatal(err)
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for !stop.Load() {
				io.WriteString(c, text)
				resp, err := http.ReadResponse(r, nil)
				if err != nil || resp.StatusCode != 200 {
					log.Fatalf("%v %v", err, resp)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				done.Add(1)
			}
		})
	}
	time.Sleep(300 * time.Millisecond) // warm
	cpu, n := cpuOf(pid), done.Load()
	time.Sleep(d)
	cpu, n = cpuOf(pid)-cpu, done.Load()-n
	stop.Store(true)
	wg.Wait()
	return float64(cpu.Microseconds()) / float64(n), n
}

// cpuOf is the CPU time of a process, proc(5).
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		log.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * time.Second / 100
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
