package policy

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"gopura/exchange"
)

// encoder compresses what is written to it.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoderPool keeps encoders of a coding and level: each is large.
type encoderPool struct {
	coding exchange.Coding
	pool   sync.Pool
}

// windowSize bounds what a stream takes of memory, here and at the client.
const windowSize = 256 << 10

// encoderPools returns the pool of a coding at a level; nil: there is no such.
func encoderPools(name, level string) *encoderPool {
	at := func(fast, normal, best int) int {
		switch level {
		case "fast":
			return fast
		case "best":
			return best
		}
		return normal
	}
	p := new(encoderPool)
	switch name {
	case "gzip":
		p.coding = exchange.Gzip
		n := at(gzip.BestSpeed, 5, gzip.BestCompression)
		p.pool.New = func() any { w, _ := kgzip.NewWriterLevel(nil, n); return w }
	case "br":
		p.coding = exchange.Brotli
		n := at(1, 4, 9)
		p.pool.New = func() any { return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: n, LGWin: 18}) }
	case "zstd":
		p.coding = exchange.Zstd
		n := zstd.EncoderLevel(at(1, 2, 3))
		p.pool.New = func() any {
			w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(n), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowSize), zstd.WithLowerEncoderMem(true))
			return w
		}
	default:
		return nil
	}
	return p
}

// compressed is a body that is compressed while it is read.
type compressed struct {
	from   exchange.Body
	pool   *encoderPool
	stream bool // what has come is passed on before the next piece is waited for

	mu    sync.Mutex // Close may come from another goroutine
	enc   encoder
	out   bytes.Buffer
	ended bool
	gone  bool
}

// pieceSize is about how much is passed on at once.
const pieceSize = exchange.BufferSize

// Next implements exchange.Body.
func (b *compressed) Next() ([]byte, error) {
	if b.ended {
		return nil, io.EOF
	}
	b.out.Reset()
	for {
		p, err := b.from.Next()
		b.mu.Lock()
		if b.gone {
			b.mu.Unlock()
			return nil, errEncoderGone
		}
		if err == io.EOF {
			err = b.finish()
			b.mu.Unlock()
			if err != nil || b.out.Len() == 0 {
				return nil, errOr(err)
			}
			return b.out.Bytes(), nil
		}
		if err == nil {
			err = b.write(p)
		}
		b.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if b.out.Len() >= pieceSize || b.stream && b.out.Len() > 0 {
			return b.out.Bytes(), nil
		}
	}
}

func errOr(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

var errEncoderGone = exchange.ClientGone.Because(nil)

// write compresses a piece; of a stream, all of it is to come out when nothing
// more is there.
func (b *compressed) write(p []byte) error {
	if b.enc == nil {
		b.enc = b.pool.pool.Get().(encoder)
		b.enc.Reset(&b.out)
	}
	if _, err := b.enc.Write(p); err != nil {
		return err
	}
	if !b.stream {
		return nil
	}
	if r, ok := b.from.(exchange.Ready); ok && r.Ready() {
		return nil
	}
	return b.enc.Flush()
}

// finish ends the compressed form.
func (b *compressed) finish() error {
	b.ended = true
	if b.enc == nil { // nothing came: the coding has a form of that too
		if err := b.write(nil); err != nil {
			return err
		}
	}
	err := b.enc.Close()
	b.put()
	return err
}

// put gives the encoder back.
func (b *compressed) put() {
	if b.enc != nil {
		b.enc.Reset(nil)
		b.pool.pool.Put(b.enc)
		b.enc = nil
	}
}

// Len implements exchange.Body.
func (b *compressed) Len() int64 {
	if b.ended && b.out.Len() == 0 {
		return 0
	}
	return -1
}

// Trailer implements exchange.Body.
func (b *compressed) Trailer() *exchange.Header { return b.from.Trailer() }

// Close implements exchange.Body.
func (b *compressed) Close() error {
	err := b.from.Close()
	b.release()
	return err
}

// release is the end of it, however it came.
func (b *compressed) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
	b.put()
}

// Ready implements exchange.Ready.
func (b *compressed) Ready() bool {
	if b.ended {
		return true
	}
	r, ok := b.from.(exchange.Ready)
	return ok && r.Ready()
}
