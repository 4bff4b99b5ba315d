package compose

import "gopura/exchange"

// formatOf returns how a client wants the parts as they arrive; nil: it wants
// one answer. Only a client that names a format gets it, and not when it would
// rather have JSON (RFC 9110 §12.5.1).
func formatOf(h *exchange.Header) *format {
	var best *format
	quality, whole := 0, 0
	for media, q := range exchange.Accepted(h) {
		var f *format
		switch {
		case exchange.EqualFold(media, ndjson.mediaType), exchange.EqualFold(media, "application/ndjson"):
			f = ndjson
		case exchange.EqualFold(media, events.mediaType):
			f = events
		case exchange.EqualFold(media, "application/json"):
			whole = max(whole, q)
			continue
		default:
			continue
		}
		if q > quality {
			best, quality = f, q
		}
	}
	if quality < whole {
		return nil
	}
	return best
}
