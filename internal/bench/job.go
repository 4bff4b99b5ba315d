package main

import "slices"

// connections that wrk keeps busy. The CPU figures of the project's documents are at 64.
const connections = 64

// idleConnections are opened, used once and kept by the memory job.
const idleConnections = 5000

// Job is one kind of work that every proxy is given.
type Job struct {
	Name   string // as -only takes it
	Title  string // as the page shows it
	Config string // first part of the names of its configurations in testdata
	Path   string // what is asked for
	Size   int    // bytes of the answer's body
	Buffer int    // bytes of the buffers of NGINX and HAProxy that serve this size best
	Script string // wrk script in testdata, if it asks for more than Path
	Edits  bool   // the header edits of the full job are expected
	Limits string // a path that must be refused when it is asked for too often
	Parts  int    // of a composed answer
	Idle   bool   // measures memory instead of speed
	TLS    bool   // over https
	H2     string // over HTTP/2 in cleartext: "get", or "grpc" for a unary call
	Token  string // every request carries it
	Key    string // of its issuer, PEM
	Fresh  string // a connection for each request: "full" or "resumed" handshakes
}

var jobs = []Job{
	{Name: "plain", Title: "Plain proxying, 1 KB", Config: "plain", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10},
	{Name: "full", Title: "100 routes, header edits, access log, 1 KB", Config: "full", Path: "/svc42/1k", Size: 1 << 10, Buffer: 16 << 10, Script: "full.lua", Edits: true},
	{Name: "limit", Title: "A limit for each client, 1 KB", Config: "limit", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10, Limits: "/few/1k"},
	{Name: "limit10k", Title: "A limit for each of 10,000 clients, 1 KB", Config: "limit", Path: "/named/1k", Size: 1 << 10, Buffer: 16 << 10, Script: "limit.lua", Limits: "/few/1k"},
	{Name: "plain10k", Title: "Plain proxying, 10 KB", Config: "plain", Path: "/10k", Size: 10 << 10, Buffer: 16 << 10},
	{Name: "plain1m", Title: "Plain proxying, 1 MB", Config: "plain", Path: "/1m", Size: 1 << 20, Buffer: 64 << 10},
	{Name: "memory", Title: "5,000 idle connections", Config: "plain", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10, Idle: true},
	{Name: "tls", Title: "TLS on kept connections, 1 KB", Config: "tls", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10, TLS: true},
	{Name: "handshakes", Title: "A TLS handshake for each request, 1 KB", Config: "tls", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10, TLS: true, Fresh: "full"},
	{Name: "resumed", Title: "A resumed TLS session for each request, 1 KB", Config: "tls", Path: "/1k", Size: 1 << 10, Buffer: 16 << 10, TLS: true, Fresh: "resumed"},
}

// scheme of the addresses that the job asks for.
func (j Job) scheme() string {
	if j.TLS {
		return "https://"
	}
	return "http://"
}

// Kind is a proxy that takes part.
type Kind struct {
	Name    string
	Title   string
	Program string                            // looked up in PATH and the system's folders; gopura is built
	Args    func(config, dir string) []string // how it is started in the foreground
	Config  string                            // last part of the names of its configurations
	Version []string                          // arguments that print its version
}

var kinds = []Kind{
	{
		Name: "gopura", Title: "Gopura", Program: gopuraBinary, Config: "gopura.yaml", Version: []string{"version"},
		Args: func(config, dir string) []string { return []string{"run", "-c", config} },
	},
	{
		Name: "nginx", Title: "NGINX", Program: "nginx", Config: "nginx.conf", Version: []string{"-v"},
		Args: func(config, dir string) []string { return []string{"-p", dir, "-c", config, "-e", "stderr"} },
	},
	{
		Name: "haproxy", Title: "HAProxy", Program: "haproxy", Config: "haproxy.cfg", Version: []string{"-v"},
		Args: func(config, dir string) []string { return []string{"-db", "-f", config} },
	},
}

// choose keeps the jobs and proxies that are named. Naming no job means all jobs,
// and naming no proxy all proxies.
func choose(only []string) (js []Job, ks []Kind, unknown []string) {
	for _, name := range only {
		j := slices.IndexFunc(jobs, func(j Job) bool { return j.Name == name })
		k := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
		switch {
		case j >= 0:
			js = append(js, jobs[j])
		case k >= 0:
			ks = append(ks, kinds[k])
		default:
			unknown = append(unknown, name)
		}
	}
	if js == nil {
		js = jobs
	}
	if ks == nil {
		ks = kinds
	}
	return js, ks, unknown
}
