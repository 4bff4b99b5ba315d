package certs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"gopura/config"
	"gopura/internal/testca"
)

// What the responder says is stapled when it is good, and only then.
func TestStapling(t *testing.T) {
	ca := testca.New(t, "root")
	status, until := ocsp.Good, time.Now().Add(time.Hour)
	var leaf testca.Pair
	asked := make(chan struct{}, 10)
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { asked <- struct{}{} }()
		body, _ := io.ReadAll(r.Body)
		q, err := ocsp.ParseRequest(body)
		if err != nil || q.SerialNumber.Cmp(leaf.Leaf.SerialNumber) != 0 {
			t.Errorf("asked for %v, %v", q, err)
			return
		}
		answer, err := ocsp.CreateResponse(ca.Cert, ca.Cert, ocsp.Response{
			Status: status, SerialNumber: q.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: until, RevokedAt: time.Now(),
		}, ca.Key)
		if err != nil {
			t.Error(err)
		}
		w.Write(answer)
	}))
	defer responder.Close()
	for _, c := range []struct {
		what    string
		status  int
		until   time.Time
		stapled bool
	}{
		{"good", ocsp.Good, time.Now().Add(time.Hour), true},
		{"revoked", ocsp.Revoked, time.Now().Add(time.Hour), false},
		{"unknown", ocsp.Unknown, time.Now().Add(time.Hour), false},
		{"stale", ocsp.Good, time.Now().Add(-time.Second), false},
	} {
		status, until = c.status, c.until
		leaf = ca.Issue(testca.Leaf{Names: []string{"a.test"}, OCSP: responder.URL})
		d := openDoor(t, &config.TLS{Certificates: files(leaf)})
		<-asked
		stapled := false
		for range 20 {
			tc, _, err := d.dial(named("a.test"))
			if err != nil {
				t.Fatal(err)
			}
			if stapled = len(tc.ConnectionState().OCSPResponse) > 0; stapled {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if stapled != c.stapled {
			t.Errorf("%s: stapled is %v", c.what, stapled)
		}
		d.use(&config.TLS{Certificates: files(leaf), MinVersion: "1.3"})
		if tc, _, _ := d.dial(named("a.test")); len(tc.ConnectionState().OCSPResponse) > 0 != c.stapled {
			t.Errorf("%s: the staple is lost in a reload", c.what)
		}
		want := OCSPInfo{State: "missing"}
		if c.stapled {
			want = OCSPInfo{"good", until.UTC().Truncate(time.Second)}
		}
		if i := d.terms.Load().Certificates()[0]; i.OCSP != want || i.Source != "file" || i.Names[0] != "a.test" || !i.NotAfter.Equal(leaf.Leaf.NotAfter) {
			t.Errorf("%s: the operator sees %+v", c.what, i)
		}
		select {
		case <-asked:
			t.Errorf("%s: a reload asked the responder again", c.what)
		default:
		}
	}
}

// A responder that does not answer keeps nobody waiting.
func TestStaplingUnreachable(t *testing.T) {
	ca := testca.New(t, "root")
	leaf := ca.Issue(testca.Leaf{Names: []string{"a.test"}, OCSP: "http://127.0.0.1:1/"})
	d := openDoor(t, &config.TLS{Certificates: files(leaf)})
	if _, _, err := d.dial(named("a.test")); err != nil {
		t.Error(err)
	}
}
