package identity

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gopura/exchange"
)

// grpcCaller makes unary gRPC calls: a POST over HTTP/2, a message with a prefix
// of five bytes each way, and the outcome in the trailer.
type grpcCaller struct {
	client *http.Client
	server *url.URL // http or https, and the host
}

// grpcError is a call that did not end with OK.
type grpcError struct{ code exchange.GRPCCode }

func (e *grpcError) Error() string { return "the call ended with " + e.code.String() }

// newGRPCCaller is newCaller for a server at grpc:// or grpcs://.
func newGRPCCaller(env *Env, server *url.URL, trust CallTLS, timeout time.Duration) (c *grpcCaller, hangUp func(), err error) {
	client, hangUp, err := newCaller(env, trust, timeout)
	if err != nil {
		return nil, nil, err
	}
	c = &grpcCaller{client: client, server: &url.URL{Scheme: "http", Host: server.Host}}
	t := client.Transport.(bounded).next.(*http.Transport)
	t.Protocols = new(http.Protocols)
	if server.Scheme == "grpcs" {
		c.server.Scheme = "https"
		t.Protocols.SetHTTP2(true)
	} else {
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	// A connection that is dead and does not say so is found out, and given up.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 2 * time.Second}
	return c, hangUp, nil
}

// call makes one call and returns the answer's message. An outcome other than OK
// is a *grpcError.
func (c *grpcCaller) call(ctx context.Context, method string, timeout time.Duration, ask message) ([]byte, error) {
	body := make([]byte, 5, 5+len(ask))
	binary.BigEndian.PutUint32(body[1:], uint32(len(ask)))
	body = append(body, ask...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.JoinPath(method).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{
		"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"gopura"},
		"Grpc-Timeout": {string(exchange.AppendGRPCTimeout(nil, timeout))},
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, callError(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.ProtoMajor != 2:
		return nil, fmt.Errorf("the server speaks %s, not HTTP/2", resp.Proto)
	case resp.StatusCode != http.StatusOK:
		return nil, &grpcError{exchange.GRPCFromHTTP(resp.StatusCode)}
	case !exchange.IsGRPC([]byte(resp.Header.Get("Content-Type"))):
		return nil, errProto
	}
	if status := resp.Header.Get("Grpc-Status"); status != "" { // trailers only
		if code := exchange.ParseGRPCStatus([]byte(status)); code != exchange.GRPCOK {
			return nil, &grpcError{code}
		}
		return nil, errProto // OK, and no message
	}
	answer, err := readAnswer(resp.Body, maxAnswer)
	if err != nil {
		return nil, callError(err)
	}
	status := resp.Trailer.Get("Grpc-Status")
	switch code := exchange.ParseGRPCStatus([]byte(status)); {
	case status == "":
		return nil, &grpcError{exchange.GRPCUnknown}
	case code != exchange.GRPCOK:
		return nil, &grpcError{code}
	case len(answer) < 5 || answer[0] != 0 || binary.BigEndian.Uint32(answer[1:]) != uint32(len(answer)-5):
		return nil, errProto // none, several, or one that is compressed, which nobody has asked for
	}
	return answer[5:], nil
}
