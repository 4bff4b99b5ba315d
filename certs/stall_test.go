package certs

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/lifetime"
)

// 5,000 clients that begin a handshake and say no more: none of them stays for
// longer than the timeout, no more than the limit are waited for, and whoever
// means it gets through meanwhile.
func TestStalledHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pool lifetime.Pool
		scope := new(lifetime.Scope)
		defer scope.Close()
		plan, _ := Load("main", &config.TLS{SelfSigned: true}, nil, false, nil)
		terms, err := plan.Open(scope, &pool, quiet)
		if err != nil {
			t.Fatal(err)
		}
		var l Listener
		l.Use(terms)
		const stalled = 5000
		var gone, last atomic.Int64
		start := time.Now()
		for i := range stalled {
			ours, theirs := net.Pipe()
			go func() {
				if _, _, err := l.Handshake(ours); err == nil {
					t.Error("a handshake without a client")
				}
				ours.Close()
				gone.Add(1)
				last.Store(int64(time.Since(start)))
			}()
			if i%2 == 0 {
				go theirs.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a hello
			}
			if i == stalled-1 {
				synctest.Wait()
			}
		}
		if n := gone.Load(); n != stalled-maxPending {
			t.Errorf("%d were given up, want %d", n, stalled-maxPending)
		}
		ours, theirs := net.Pipe()
		done := make(chan error)
		go func() {
			_, _, err := l.Handshake(ours)
			done <- err
		}()
		client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
		go func() {
			client.Handshake()
			client.Read(make([]byte, 1)) // takes the session tickets
		}()
		if err := <-done; err != nil {
			t.Errorf("an honest client: %v", err)
		}
		ours.Close()
		theirs.Close()
		time.Sleep(handshakeTimeout)
		synctest.Wait()
		if n, after := gone.Load(), time.Duration(last.Load()); n != stalled || after > handshakeTimeout {
			t.Errorf("%d of %d are gone, the last one after %v", n, stalled, after)
		}
		if l.pending.Len() != 0 {
			t.Errorf("%d are pending", l.pending.Len())
		}
	})
}
