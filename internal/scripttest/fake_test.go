package scripttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// fake is a gateway of a few lines, to prove the harness with. It knows the
// keys listen and to (an address); /nothing has no route.
type fake struct {
	file   string
	server *httptest.Server
	http3  *http3.Server // on the same port, nil: none

	mu      sync.Mutex
	target  string
	records bytes.Buffer
}

func startFake(t testing.TB, dir, file string) (Gateway, error) {
	f := &fake{file: filepath.Join(dir, file)}
	listen, err := f.load()
	if err != nil {
		return nil, err
	}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	f.server.Config.Protocols = p
	f.server.Config.ErrorLog = log.New(bytes.NewBuffer(nil), "", 0)
	if strings.Contains(listen, "self_signed") {
		f.server.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
		f.server.StartTLS()
		if strings.Contains(listen, " 3]") {
			at := f.server.Listener.Addr().(*net.TCPAddr)
			udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port})
			if err != nil {
				return nil, err
			}
			f.http3 = &http3.Server{Handler: f.server.Config.Handler, TLSConfig: &tls.Config{Certificates: f.server.TLS.Certificates}}
			go func() {
				f.http3.Serve(udp)
				udp.Close()
			}()
		}
	} else {
		f.server.Start()
	}
	return f, nil
}

func (f *fake) load() (listen string, err error) {
	data, err := os.ReadFile(f.file)
	if err != nil {
		return "", err
	}
	target := ""
	for l := range strings.Lines(string(data)) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(l), ": "); key {
		case "listen":
			listen = value
		case "to":
			target = value
		default:
			return "", errors.New("unknown key " + key)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
	return listen, nil
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	target := f.target
	f.mu.Unlock()
	record := map[string]any{"path": r.URL.Path, "code": "", "status": 0, "id": "x1"}
	defer func() {
		f.mu.Lock()
		json.NewEncoder(&f.records).Encode(record)
		f.mu.Unlock()
	}()
	problem := func(status int, code string) {
		record["code"], record["status"] = code, status
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"code": code, "status": status})
	}
	if r.URL.Path == "/nothing" {
		problem(404, "no_route")
		return
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: target})
		r.Out.Host = r.In.Host
		r.Out.Trailer = r.In.Trailer // a copy would miss the values that are still to come
	}}
	proxy.ErrorLog = f.server.Config.ErrorLog
	proxy.ModifyResponse = func(r *http.Response) error {
		record["status"] = r.StatusCode
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { problem(502, "upstream_reset") }
	proxy.ServeHTTP(w, r)
}

func (f *fake) Address(string) string { return f.server.Listener.Addr().String() }
func (f *fake) Admin() string         { return "" }
func (f *fake) Close() error {
	f.server.Close()
	if f.http3 != nil {
		f.http3.Close()
	}
	return nil
}

func (f *fake) Reload(context.Context) error {
	_, err := f.load()
	return err
}

func (f *fake) AccessRecords() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.records.Bytes())
}
