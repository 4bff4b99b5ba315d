package expr

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// appendValue appends the text of a scalar.
func appendValue(dst []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.String:
		return append(dst, v...), nil
	case types.Bytes:
		return append(dst, v...), nil
	case types.Int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case types.Double:
		return strconv.AppendFloat(dst, float64(v), 'f', -1, 64), nil
	case rawNumber:
		return append(dst, v.value.Bytes()...), nil
	case types.Bool:
		return strconv.AppendBool(dst, bool(v)), nil
	case types.Null:
		return dst, nil
	case types.Timestamp:
		return v.Time.UTC().AppendFormat(dst, time.RFC3339Nano), nil
	case types.Duration:
		return append(dst, v.Duration.String()...), nil
	case *types.Optional:
		if !v.HasValue() {
			return dst, nil
		}
		return appendValue(dst, v.GetValue())
	}
	return dst, fmt.Errorf("a %s has no text", v.Type().TypeName())
}

// native returns v as a Go value that shares no memory with it.
func native(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.String:
		return strings.Clone(string(v)), nil
	case types.Bytes:
		return append([]byte{}, v...), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return uint64(v), nil
	case types.Double:
		return float64(v), nil
	case rawNumber:
		return float64(v.Double), nil
	case types.Bool:
		return bool(v), nil
	case types.Null:
		return nil, nil
	case types.Timestamp:
		return v.Time, nil
	case types.Duration:
		return v.Duration, nil
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return native(v.GetValue())
	case traits.Lister:
		out := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			n, err := native(it.Next())
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
		return out, nil
	case traits.Mapper:
		out := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			name, ok := k.(types.String)
			if !ok {
				return nil, fmt.Errorf("a map with a key that is a %s, not a string", k.Type().TypeName())
			}
			n, err := native(v.Get(k))
			if err != nil {
				return nil, err
			}
			out[strings.Clone(string(name))] = n
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %s is not a value", v.Type().TypeName())
}
