package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// adminClient asks the admin API of a gateway that runs. The token, where there
// is one, comes from the environment: command lines are seen by everybody.
type adminClient struct{ address string }

// flags adds where the admin listener is.
func (a *adminClient) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&a.address, "admin", "127.0.0.1:9900", "the address of the admin listener")
}

// maxAdminAnswer bounds what is read of an answer.
const maxAdminAnswer = 64 << 20

// ask sends a request to the admin API and decodes the answer.
func (a *adminClient) ask(method, path string, into any) error {
	return a.askFor(10*time.Second, method, path, into)
}

// askFor is ask, for as long as the answer may take.
func (a *adminClient) askFor(long time.Duration, method, path string, into any) error {
	return a.request(long, method, path, nil, into)
}

// send is ask with a body, which becomes JSON.
func (a *adminClient) send(method, path string, body, into any) error {
	return a.request(10*time.Second, method, path, body, into)
}

// stream opens an answer that goes on until ctx is over.
func (a *adminClient) stream(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := a.newRequest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := adminTransport(0).Do(r)
	if err != nil {
		return nil, a.unreached(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
		return nil, refusedBy(resp, text)
	}
	return resp.Body, nil
}

// adminTransport is the client for an answer that takes so long at most; 0: any
// time. The token is for this address: a redirect is no answer.
func adminTransport(long time.Duration) *http.Client {
	return &http.Client{Timeout: long, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// unreached is the error of a request that no gateway has taken.
func (a *adminClient) unreached(err error) error {
	var dialing *net.OpError
	if errors.As(err, &dialing) && dialing.Op == "dial" {
		return fmt.Errorf("no gateway answers at %s: %w (it needs admin in its configuration; --admin says where)", a.address, dialing.Err)
	}
	return err
}

// refusedBy is the error of an answer that is none.
func refusedBy(resp *http.Response, text []byte) error {
	var p struct{ Detail string }
	json.Unmarshal(text, &p)
	return fmt.Errorf("the gateway answers %s: %s", resp.Status, p.Detail)
}

func (a *adminClient) newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	base := a.address
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Gopura-Admin", "1")
	if token := os.Getenv("GOPURA_ADMIN_TOKEN"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r, nil
}

func (a *adminClient) request(long time.Duration, method, path string, body, into any) error {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	r, err := a.newRequest(context.Background(), method, path, text)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := adminTransport(long).Do(r)
	if err != nil {
		return a.unreached(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return refusedBy(resp, answer)
	}
	return json.Unmarshal(answer, into)
}
