package compose

import (
	"bytes"
	"strconv"

	"gopura/exchange"
)

// formatOf returns how a client wants the parts as they arrive; nil: it wants
// one answer. Only a client that names a format gets it, and not when it would
// rather have JSON (RFC 9110 §12.5.1).
func formatOf(h *exchange.Header) *format {
	var best *format
	quality, whole := 0.0, 0.0
	for v := range h.Values("Accept") {
		for len(v) > 0 {
			var item []byte
			if i := bytes.IndexByte(v, ','); i >= 0 {
				item, v = v[:i], v[i+1:]
			} else {
				item, v = v, nil
			}
			media, params := item, []byte(nil)
			if i := bytes.IndexByte(item, ';'); i >= 0 {
				media, params = item[:i], item[i+1:]
			}
			media = bytes.TrimSpace(media)
			var f *format
			switch {
			case exchange.EqualFold(media, ndjson.mediaType), exchange.EqualFold(media, "application/ndjson"):
				f = ndjson
			case exchange.EqualFold(media, events.mediaType):
				f = events
			case exchange.EqualFold(media, "application/json"):
				whole = max(whole, qualityOf(params))
				continue
			default:
				continue
			}
			if q := qualityOf(params); q > quality {
				best, quality = f, q
			}
		}
	}
	if quality < whole {
		return nil
	}
	return best
}

// qualityOf returns the weight of an item of Accept, 1 when it has none.
func qualityOf(params []byte) float64 {
	for len(params) > 0 {
		p := params
		if i := bytes.IndexByte(params, ';'); i >= 0 {
			p, params = params[:i], params[i+1:]
		} else {
			params = nil
		}
		p = bytes.TrimSpace(p)
		if len(p) > 2 && p[0]|0x20 == 'q' && p[1] == '=' {
			if q, err := strconv.ParseFloat(string(p[2:]), 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
			return 0
		}
	}
	return 1
}
