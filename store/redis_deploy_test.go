package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
	"gopura/internal/testca"
)

// works takes a limit to its end, in both modes.
func works(t *testing.T, o RedisOptions) {
	t.Helper()
	for _, mode := range []Mode{Exact, Leased} {
		o.Mode = mode
		s := openRedis(t, o)
		for i := range 20 { // in a cluster: keys everywhere
			key := fmt.Appendf(nil, "key %d", i)
			l := rate(t, s, "l "+string(mode), Rate{Count: 3, Per: time.Hour})
			for n := range 4 {
				if d := l.Take(key, 1); d.Allowed != (n < 3) || d.Degraded {
					t.Fatalf("%s: take %d of %s: %+v, %+v", mode, n, key, d, s.Redis())
				}
			}
			q := window(t, s, "q "+string(mode), Window{Count: 3, Per: time.Hour})
			// As a lease comes, less may be said to be left than is.
			least := map[Mode]int64{Exact: 2, Leased: 1}[mode]
			if d := q.Take(key, 1); !d.Allowed || d.Remaining > 2 || d.Remaining < least {
				t.Fatalf("%s: %+v", mode, d)
			}
			if err := l.Reset(key); err != nil {
				t.Fatal(err)
			}
		}
		if r := s.Redis(); r.Failures > 0 || r.Open {
			t.Errorf("%s: %+v", mode, r)
		}
	}
}

// keeps does with values what API keys, certificates and ticket keys do with
// them, in the clear and sealed, and returns both.
func keeps(t *testing.T, o RedisOptions) []Values {
	t.Helper()
	o.Wait, o.Timeout = 5*time.Second, time.Second
	s := openRedis(t, o)
	sealed, err := Sealed(s.Values(), strings.Repeat("k", MinSecret))
	if err != nil {
		t.Fatal(err)
	}
	list := []Values{s.Values(), sealed}
	for i, v := range list {
		name := func(n int) string { return fmt.Sprintf("kept:%d:key %d", i, n) }
		for n := range 20 { // in a cluster: keys everywhere
			if added, err := v.Add(t.Context(), name(n), []byte(name(n)), time.Hour); !added || err != nil {
				t.Fatalf("%s: added %v, %v", name(n), added, err)
			}
		}
		keys, err := v.Keys(t.Context(), fmt.Sprintf("kept:%d:", i))
		if len(keys) != 20 || err != nil {
			t.Errorf("of 20 keys %d are found: %v", len(keys), err)
		}
		if err := v.Set(t.Context(), name(1), []byte("anew"), 0); err != nil {
			t.Error(err)
		}
		if deleted, err := v.Delete(t.Context(), name(2)); !deleted || err != nil {
			t.Errorf("deleted %v, %v", deleted, err)
		}
		for n, want := range []string{name(0), "anew", ""} {
			if got, found, err := v.Get(t.Context(), name(n)); string(got) != want || found != (want != "") || err != nil {
				t.Errorf("%s: %q, %v, %v", name(n), got, found, err)
			}
		}
		unlock, err := v.Lock(t.Context(), "issue")
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, err := v.Lock(short, "issue"); err == nil {
			t.Error("two hold one lock")
		}
		cancel()
		unlock()
	}
	return list
}

func TestUnixSocketAndUser(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	startServer(t, "--unixsocket", socket, "--user", "gopura", "on", ">secret",
		"~gopura:*", "+evalsha", "+eval", "+time", "+get", "+set", "+del", "+hgetall", "+hset", "+hdel", "+pexpire", "+client|setname", "+select", "+hello")
	o, err := ParseRedisURL("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	o.Username, o.Password = "gopura", "secret"
	works(t, o)
	o.Password = "wrong"
	o.Wait = 100 * time.Millisecond
	s := openRedis(t, o)
	if st := s.State(); st.Ready || strings.Contains(st.Detail, "wrong") {
		t.Errorf("with a wrong password: %+v", st)
	}
}

func TestClientTime(t *testing.T) {
	srv := startServer(t)
	o := RedisOptions{Addresses: []string{srv.addr()}, ClientTime: true}
	works(t, o)
}

// startCluster is three servers, each with a third of the slots.
func startCluster(t *testing.T) (nodes []*server) {
	bounds := []int{0, 5461, 10923, 16384}
	for range 3 {
		nodes = append(nodes, startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000"))
	}
	for i, n := range nodes {
		n.must("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(bounds[i]), fmt.Sprint(bounds[i+1]-1))
		if i > 0 {
			n.must("CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(nodes[0].port))
		}
	}
	for _, n := range nodes {
		eventually(t, 20*time.Second, "the cluster is up", func() bool {
			info, _ := n.do("CLUSTER", "INFO").ToString()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return nodes
}

func TestCluster(t *testing.T) {
	nodes := startCluster(t)
	o := RedisOptions{Addresses: []string{nodes[0].addr(), nodes[1].addr()}, Cluster: true}
	works(t, o)
	keeps(t, o)
	for i, n := range nodes {
		if size, err := n.do("DBSIZE").AsInt64(); err != nil || size == 0 {
			t.Errorf("node %d has %d keys, %v", i, size, err)
		}
	}
}

// TestSentinelFailover: the master dies, a sentinel promotes the replica, and the
// store finds it by itself.
func TestSentinelFailover(t *testing.T) {
	master := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1", fmt.Sprint(master.port))
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	err := os.WriteFile(conf, fmt.Appendf(nil, `sentinel monitor main 127.0.0.1 %d 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 3000
`, master.port), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	sentinel := startServer(t, conf, "--sentinel")
	eventually(t, 20*time.Second, "the sentinel knows the replica", func() bool {
		info, _ := sentinel.do("INFO", "sentinel").ToString()
		return strings.Contains(info, "slaves=1") && strings.Contains(info, "status=ok")
	})
	o := RedisOptions{Addresses: []string{sentinel.addr()}, Sentinel: "main"}
	works(t, o)
	kept := keeps(t, o)
	eventually(t, 20*time.Second, "the replica has it all", func() bool { n, _ := master.do("WAIT", "1", "1000").AsInt64(); return n == 1 })

	s := openRedis(t, o)
	tr := startTraffic(rate(t, s, "l", Rate{Count: 1000, Per: time.Second}))
	defer tr.end()
	master.kill()
	eventually(t, 20*time.Second, "the breaker opens", func() bool { return !s.State().Ready })
	eventually(t, 30*time.Second, "the new master is found", func() bool { return s.State().Ready })
	eventually(t, 20*time.Second, "it has the keys", func() bool { n, _ := replica.do("DBSIZE").AsInt64(); return n > 0 })
	for i, v := range kept { // what was kept is there, and goes on
		name := fmt.Sprintf("kept:%d:key 0", i)
		eventually(t, 20*time.Second, "values are back", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got, found, err := v.Get(ctx, name)
			return err == nil && found && string(got) == name
		})
		if err := v.Set(t.Context(), name, []byte("after"), 0); err != nil {
			t.Error(err)
		}
	}
}

func TestTLS(t *testing.T) {
	ca := testca.New(t, "redis")
	pair := ca.Server("localhost", "127.0.0.1")
	port := freeport.Port(t)
	startServer(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", pair.Cert, "--tls-key-file", pair.Key,
		"--tls-ca-cert-file", pair.Cert, "--tls-auth-clients", "no")
	address := fmt.Sprintf("127.0.0.1:%d", port)
	works(t, RedisOptions{Addresses: []string{address}, TLS: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}})
	s := openRedis(t, RedisOptions{Addresses: []string{address}, TLS: &tls.Config{ServerName: "localhost"}, Wait: 200 * time.Millisecond})
	if s.State().Ready {
		t.Error("a certificate that nobody vouches for is taken")
	}
}
