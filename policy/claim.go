package policy

import (
	"encoding/json"
	"strconv"
	"strings"

	"gopura/exchange"
)

// appendClaim appends a claim as the value of a header field; lists are joined
// with commas. It reports false when a reader could not tell what was meant: an
// item with a comma in it, a control character, a list in a list.
func appendClaim(dst []byte, v any, top bool) ([]byte, bool) {
	switch v := v.(type) {
	case string:
		return append(dst, v...), exchange.ValidValue(v) && (top || !strings.Contains(v, ","))
	case bool:
		return strconv.AppendBool(dst, v), true
	case float64:
		return appendNumber(dst, v), true
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case json.Number:
		return append(dst, v...), true
	case []string:
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, top = appendClaim(dst, item, false); !top {
				return dst, false
			}
		}
		return dst, true
	case []any:
		if !top {
			return dst, false
		}
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			ok := false
			if dst, ok = appendClaim(dst, item, false); !ok {
				return dst, false
			}
		}
		return dst, true
	}
	return dst, false
}

// appendNumber writes whole numbers without an exponent: 1730000000, not 1.73e+09.
func appendNumber(dst []byte, v float64) []byte {
	if v == float64(int64(v)) && v > -1<<53 && v < 1<<53 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
