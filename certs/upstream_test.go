package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/testca"
)

// target is a TLS server that presents a certificate.
func target(t *testing.T, conf *tls.Config) string {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
				if c.(*tls.Conn).Handshake() == nil {
					c.Write([]byte("."))
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func pin(p testca.Pair) string {
	sum := sha256.Sum256(p.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Nothing passes unverified unless the file says insecure.
func TestUpstream(t *testing.T) {
	ca, foreign := testca.New(t, "root"), testca.New(t, "foreign")
	good := ca.Server("a.internal", "b.internal")
	expired := ca.Issue(testca.Leaf{Names: []string{"a.internal"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	forClients := ca.Issue(testca.Leaf{Names: []string{"a.internal"}, Client: true})
	untrusted := foreign.Server("a.internal")
	caSum := sha256.Sum256(ca.Cert.RawSubjectPublicKeyInfo)
	for _, c := range []struct {
		what   string
		conf   *config.UpstreamTLS
		server testca.Pair
		says   string // "": accepted
	}{
		{"the system's authorities", nil, good, "unknown authority"},
		{"own authority", &config.UpstreamTLS{CA: ca.File}, good, ""},
		{"own authority, foreign certificate", &config.UpstreamTLS{CA: ca.File}, untrusted, "unknown authority"},
		{"own authority, expired", &config.UpstreamTLS{CA: ca.File}, expired, "expired"},
		{"own authority, for clients", &config.UpstreamTLS{CA: ca.File}, forClients, "incompatible key usage"},
		{"another server_name", &config.UpstreamTLS{CA: ca.File, ServerName: "b.internal"}, good, ""},
		{"wrong server_name", &config.UpstreamTLS{CA: ca.File, ServerName: "c.internal"}, good, "not c.internal"},
		{"names", &config.UpstreamTLS{CA: ca.File, ServerName: "c.internal", Names: []string{"x.internal", "B.internal"}}, good, ""},
		{"wrong names", &config.UpstreamTLS{CA: ca.File, Names: []string{"x.internal"}}, good, "none of the names"},
		{"names, foreign", &config.UpstreamTLS{CA: ca.File, Names: []string{"a.internal"}}, untrusted, "unknown authority"},
		{"names, expired", &config.UpstreamTLS{CA: ca.File, Names: []string{"a.internal"}}, expired, "expired"},
		{"names, the system's authorities", &config.UpstreamTLS{Names: []string{"a.internal"}}, good, "unknown authority"},
		{"pin", &config.UpstreamTLS{CA: ca.File, Pins: []string{"sha256/" + pin(good)}}, good, ""},
		{"pin of the authority", &config.UpstreamTLS{CA: ca.File, Pins: []string{base64.StdEncoding.EncodeToString(caSum[:])}}, good, ""},
		{"wrong pin", &config.UpstreamTLS{CA: ca.File, Pins: []string{pin(expired)}}, good, "pinned"},
		{"pin, foreign", &config.UpstreamTLS{CA: ca.File, Pins: []string{pin(untrusted)}}, untrusted, "unknown authority"},
		{"pin, wrong name", &config.UpstreamTLS{CA: ca.File, ServerName: "c.internal", Pins: []string{pin(good)}}, good, "not c.internal"},
		{"names and pin", &config.UpstreamTLS{CA: ca.File, Names: []string{"a.internal"}, Pins: []string{pin(good)}}, good, ""},
		{"names and wrong pin", &config.UpstreamTLS{CA: ca.File, Names: []string{"a.internal"}, Pins: []string{pin(expired)}}, good, "pinned"},
		{"insecure", &config.UpstreamTLS{Insecure: true}, untrusted, ""},
	} {
		conf, _, faults := Upstream(c.conf)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		conf = conf.Clone()
		if conf.ServerName == "" {
			conf.ServerName = "a.internal" // the host of the target
		}
		address := target(t, &tls.Config{Certificates: []tls.Certificate{c.server.TLS}})
		for range 2 { // the second time the session may be resumed
			nc, err := tls.Dial("tcp", address, conf)
			if err == nil {
				nc.Read(make([]byte, 1))
				nc.Close()
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", c.what, err, c.says)
			}
		}
	}
}

// The gateway shows its own certificate, and old versions of TLS are refused.
func TestUpstreamClientCertificate(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	gw := clients.Client("gateway")
	address := target(t, &tls.Config{
		Certificates: []tls.Certificate{ca.Server("a.internal").TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(), MaxVersion: tls.VersionTLS12,
	})
	for _, c := range []struct {
		what string
		conf config.UpstreamTLS
		ok   bool
	}{
		{"none", config.UpstreamTLS{}, false},
		{"the gateway's", config.UpstreamTLS{Cert: gw.Cert, Key: gw.Key}, true},
		{"min_version", config.UpstreamTLS{Cert: gw.Cert, Key: gw.Key, MinVersion: "1.3"}, false},
	} {
		c.conf.CA, c.conf.ServerName = ca.File, "a.internal"
		conf, _, faults := Upstream(&c.conf)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		nc, err := tls.Dial("tcp", address, conf)
		if err == nil {
			_, err = io.ReadFull(nc, make([]byte, 1))
			nc.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// What a service hangs on is in the fingerprint; a fault leaves no config.
func TestUpstreamFingerprint(t *testing.T) {
	ca, other := testca.New(t, "root"), testca.New(t, "other")
	gw, gw2 := ca.Client("gateway"), ca.Client("gateway")
	seen := map[string]int{}
	for i, c := range []config.UpstreamTLS{
		{}, {CA: ca.File}, {CA: other.File}, {ServerName: "a"}, {Names: []string{"a"}}, {Names: []string{"a", "b"}}, {Pins: []string{pin(gw)}},
		{Insecure: true}, {MinVersion: "1.3"}, {Cert: gw.Cert, Key: gw.Key}, {Cert: gw2.Cert, Key: gw2.Key},
	} {
		_, key, faults := Upstream(&c)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		if before, twice := seen[key]; twice {
			t.Errorf("%d and %d have the same fingerprint", before, i)
		}
		seen[key] = i
	}
	for _, c := range []config.UpstreamTLS{{CA: "none.pem"}, {CA: gw.Key}, {Cert: gw.Cert, Key: gw2.Key}, {Pins: []string{"abc"}}} {
		if conf, _, faults := Upstream(&c); conf != nil || len(faults) != 1 {
			t.Errorf("%+v: %v, %v", c, conf, faults)
		}
	}
}
