package demo

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"gopura/exchange"
	"gopura/transcode"
)

//go:embed catalog.proto
var catalogProto string

// catalog is a gRPC service, made of the gateway's own parts: what is not there
// anyway, a gRPC library, would be larger than the demo.
type catalog struct {
	products []product
	version  string
	schema   *transcode.Schema
	codec    *transcode.Codec
}

func newCatalog(d *data, version string) (*catalog, error) {
	s, err := transcode.ParseProto("catalog.proto", catalogProto)
	if err != nil {
		return nil, fmt.Errorf("sample service catalog: %w", err)
	}
	return &catalog{d.Products, version, s, transcode.NewCodec(s, transcode.JSONOptions{}, transcode.Limits{})}, nil
}

const (
	maxRequest       = 64 << 10
	sampleCatalog    = "/sample.v1.Catalog/"
	sampleReflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
)

// ServeHTTP implements http.Handler: gRPC over HTTP/2.
func (c *catalog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !exchange.IsGRPC([]byte(r.Header.Get("Content-Type"))) {
		reply(w, http.StatusUnsupportedMediaType, map[string]string{"error": "this service speaks gRPC"})
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("X-Catalog-Version", c.version)
	code, message := exchange.GRPCOK, ""
	var in transcode.FrameReader
	err := in.Reset(&pulled{r: r.Body}, maxRequest, nil)
	if err == nil {
		code, message, err = c.call(w, r.URL.Path, &in)
	}
	if err != nil {
		code, message = exchange.GRPCInternal, err.Error()
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(code)))
	if message != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", string(exchange.AppendGRPCMessage(nil, message)))
	}
}

func (c *catalog) call(w http.ResponseWriter, path string, in *transcode.FrameReader) (exchange.GRPCCode, string, error) {
	switch path {
	case sampleCatalog + "GetProduct":
		var q struct{ ID string }
		if err := c.receive(in, "sample.v1.GetProductRequest", &q); err != nil {
			return 0, "", err
		}
		i := slices.IndexFunc(c.products, func(p product) bool { return p.ID == q.ID })
		if i < 0 {
			return exchange.GRPCNotFound, "there is no product " + q.ID, nil
		}
		return 0, "", c.send(w, c.products[i])
	case sampleCatalog + "ListProducts":
		var q struct{ InStock bool }
		if err := c.receive(in, "sample.v1.ListProductsRequest", &q); err != nil {
			return 0, "", err
		}
		for _, p := range c.products {
			if q.InStock && p.Stock == 0 {
				continue
			}
			if err := c.send(w, p); err != nil {
				return 0, "", err
			}
		}
		return 0, "", nil
	case sampleReflection:
		return 0, "", c.reflect(w, in)
	}
	return exchange.GRPCUnimplemented, "there is no such method", nil
}

// receive reads the one message of a call.
func (c *catalog) receive(in *transcode.FrameReader, message string, to any) error {
	m, err := c.schema.Message(message)
	if err != nil {
		return err
	}
	wire, err := in.Next()
	if err != nil {
		return err
	}
	text, err := c.codec.AppendJSON(nil, m, wire)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// send writes a product as a message, at once.
func (c *catalog) send(w http.ResponseWriter, p product) error {
	m, err := c.schema.Message("sample.v1.Product")
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	wire, err := c.codec.AppendWire(nil, m, text)
	if err != nil {
		return err
	}
	if _, err := w.Write(transcode.AppendFrame(nil, wire)); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// reflect tells what the service is.
func (c *catalog) reflect(w http.ResponseWriter, in *transcode.FrameReader) error {
	for {
		question, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := c.schema.AnswerReflection(nil, question)
		if err != nil {
			return err
		}
		if _, err := w.Write(transcode.AppendFrame(nil, answer)); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
}

// pulled is a request body of net/http as the gateway has bodies.
type pulled struct {
	r   io.Reader
	buf [4 << 10]byte
}

func (p *pulled) Next() ([]byte, error) {
	for {
		n, err := p.r.Read(p.buf[:])
		if n > 0 {
			return p.buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}
func (p *pulled) Len() int64                { return -1 }
func (p *pulled) Trailer() *exchange.Header { return nil }
func (p *pulled) Close() error              { return nil }
