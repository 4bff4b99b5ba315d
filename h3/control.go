package h3

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// Settings (RFC 9114 §7.2.4.1, RFC 9220 §3).
const (
	settingMaxFieldSection = 0x6
	settingConnectProtocol = 0x8

	maxSettings = 4 << 10
)

// peerStreams are the critical streams that the client has opened.
type peerStreams struct{ control, encoder, decoder atomic.Bool }

var errClosedCritical = &connError{codeClosedCritical, "a critical stream was closed"}

// takeOthers takes the client's unidirectional streams.
func (c *conn) takeOthers(all *sync.WaitGroup) {
	for {
		str, err := c.qc.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		all.Go(func() {
			defer str.ReleaseStreamCredit()
			if err := c.other(str); err != nil {
				var ce *connError
				if errors.As(err, &ce) {
					c.fail(ce)
				}
			}
		})
	}
}

// other reads one of them to its end.
func (c *conn) other(str *quic.ReceiveStream) error {
	var buf [256]byte
	var r reader
	r.start(str, buf[:])
	kind, err := r.varint()
	if err != nil {
		return c.spend(costReset) // RFC 9114 §6.2: it may end before its type
	}
	var seen *atomic.Bool
	var read func(*reader) error
	switch kind {
	case streamControl:
		seen, read = &c.peer.control, c.controlStream
	case streamEncoder:
		seen, read = &c.peer.encoder, c.encoderStream
	case streamDecoder:
		seen, read = &c.peer.decoder, c.decoderStream
	case streamPush: // RFC 9114 §6.2.2: only servers push
		return &connError{codeStreamCreation, "a push stream of a client"}
	default: // §6.2.3
		str.CancelRead(codeStreamCreation)
		return c.spend(costReset)
	}
	if seen.Swap(true) {
		return &connError{codeStreamCreation, "a second critical stream of that type"}
	}
	err = read(&r)
	var se *quic.StreamError
	if err == io.EOF || errors.As(err, &se) {
		return errClosedCritical
	}
	if err == io.ErrUnexpectedEOF {
		return errTruncatedFrame
	}
	return err
}

// controlStream reads the client's control stream. Its frames don't concern us,
// as long as they are those that may be there.
func (c *conn) controlStream(r *reader) error {
	var pushID uint64
	for first := true; ; first = false {
		kind, length, err := r.frame()
		if err != nil {
			return err
		}
		if first != (kind == frameSettings) {
			if first {
				return &connError{codeMissingSettings, "the control stream does not begin with SETTINGS"}
			}
			return errUnexpectedFrame
		}
		if err := c.spend(costControl + int(min(length, 1<<20)>>10)); err != nil {
			return err
		}
		switch {
		case kind == frameSettings:
			err = readSettings(r, length)
		case kind == frameGoAway: // it opens nothing more; what is open ends as usual
			_, err = readID(r, length)
		case kind == frameMaxPushID:
			var id uint64
			if id, err = readID(r, length); err == nil && id < pushID {
				err = &connError{codeID, "MAX_PUSH_ID got smaller"}
			}
			pushID = id
		case kind == frameCancelPush:
			err = &connError{codeID, "CANCEL_PUSH of what was never pushed"}
		case placed(kind):
			err = errUnexpectedFrame
		default:
			err = r.skip(length)
		}
		if err != nil {
			return err
		}
	}
}

// readID reads a frame that holds one integer.
func readID(r *reader, length uint64) (uint64, error) {
	v, err := r.varint()
	if err != nil {
		return 0, unexpected(err)
	}
	// The integer may be longer than it has to be, but then the frame is too.
	if length > 8 || uint64(quicvarint.Len(v)) > length {
		return 0, errBadFrame
	}
	return v, nil
}

func readSettings(r *reader, length uint64) error {
	if length > maxSettings {
		return &connError{codeExcessiveLoad, "SETTINGS are too large"}
	}
	b := make([]byte, 0, length)
	for uint64(len(b)) < length {
		p, err := r.chunk(length - uint64(len(b)))
		if err != nil {
			return unexpected(err)
		}
		b = append(b, p...)
	}
	seen := map[uint64]bool{}
	for len(b) > 0 {
		var pair [2]uint64
		for i := range pair {
			v, n, err := quicvarint.Parse(b)
			if err != nil {
				return errBadFrame
			}
			pair[i], b = v, b[n:]
		}
		id, value := pair[0], pair[1]
		switch {
		case seen[id]:
			return &connError{codeSettings, "a setting is there twice"}
		case 0x2 <= id && id <= 0x5: // those of HTTP/2 (RFC 9114 §7.2.4.1)
			return &connError{codeSettings, "a setting of HTTP/2"}
		case id == settingConnectProtocol && value > 1:
			return &connError{codeSettings, "a setting has no such value"}
		}
		seen[id] = true
	}
	return nil
}

// encoderStream: with a table of no capacity all that may be said is that it has
// none (RFC 9204 §3.2.3).
func (c *conn) encoderStream(r *reader) error {
	for {
		p, err := r.chunk(1)
		if err != nil {
			return err
		}
		if p[0] != 0x20 {
			return &connError{codeEncoderStream, "an insertion into a table without capacity"}
		}
		if err := c.spend(costUnknown); err != nil {
			return err
		}
	}
}

// decoderStream: we refer to no table, so that nothing it says matters.
func (c *conn) decoderStream(r *reader) error {
	for {
		p, err := r.chunk(256)
		if err != nil {
			return err
		}
		if err := c.spend(1 + len(p)/64); err != nil {
			return err
		}
	}
}
