package expr

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// isText reports whether a fact, or each value of its table, is a text.
func (f *fact) isText() bool {
	return f.claim == nil && (f.table && f.typ == nil || f.celType() == cel.StringType)
}

const (
	maxResultDepth = 256      // of lists and maps that an expression makes
	maxResult      = 64 << 20 // bytes: a document may be spliced in for each element of another
)

// value writes what CEL returned. Parts of documents are spliced in.
func (w *jsonWriter) value(v ref.Val) error { return w.nested(v, 0) }

func (w *jsonWriter) nested(v ref.Val, depth int) error {
	if len(w.Bytes()) > maxResult {
		return fmt.Errorf("the value is larger than %d bytes", maxResult)
	}
	switch v := v.(type) {
	case *rawMap:
		w.Raw(v.Table.Value)
	case *rawList:
		w.Raw(v.Table.Value)
	case rawNumber:
		w.Raw(v.value)
	case types.String:
		w.String(string(v))
	case types.Int:
		w.Int(int64(v))
	case types.Uint:
		w.Uint(uint64(v))
	case types.Double:
		w.Float(float64(v))
	case types.Bool:
		w.Bool(bool(v))
	case types.Null:
		w.Null()
	case types.Bytes:
		w.String(base64.StdEncoding.EncodeToString(v))
	case types.Timestamp:
		w.String(v.Time.UTC().Format(time.RFC3339Nano))
	case types.Duration:
		w.String(strconv.FormatFloat(v.Duration.Seconds(), 'f', -1, 64) + "s")
	case *types.Optional:
		if !v.HasValue() {
			w.Null()
			return nil
		}
		return w.nested(v.GetValue(), depth)
	case traits.Lister, traits.Mapper:
		if depth > maxResultDepth {
			return fmt.Errorf("the value is nested deeper than %d", maxResultDepth)
		}
		if m, ok := v.(traits.Mapper); ok {
			return w.object(m, depth)
		}
		w.Array()
		for it := v.(traits.Lister).Iterator(); it.HasNext() == types.True; {
			if err := w.nested(it.Next(), depth+1); err != nil {
				return err
			}
		}
		w.EndArray()
	default:
		return fmt.Errorf("a %s is not a value", v.Type().TypeName())
	}
	return nil
}

// object writes a map that CEL made. CEL forgets the order of its members: it
// is that of the literal in the expression that has these names, else sorted.
func (w *jsonWriter) object(m traits.Mapper, depth int) error {
	var buf [16]string
	names := buf[:0]
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		name, ok := k.(types.String)
		if !ok {
			return fmt.Errorf("a map with a key that is a %s, not a string", k.Type().TypeName())
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, literal := range w.maps {
		if len(literal) == len(names) && !slices.ContainsFunc(literal, func(n string) bool { _, ok := slices.BinarySearch(names, n); return !ok }) {
			names = literal
			break
		}
	}
	w.Object()
	for _, n := range names {
		w.Name(n)
		if err := w.nested(m.Get(types.String(n)), depth+1); err != nil {
			return err
		}
	}
	w.EndObject()
	return nil
}

// mapLiterals returns the names in each map literal of an expression.
func mapLiterals(x ast.Expr) (all [][]string) {
	ast.PreOrderVisit(x, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.MapKind {
			return
		}
		var names []string
		for _, entry := range e.AsMap().Entries() {
			if n, ok := text(entry.AsMapEntry().Key()); ok {
				names = append(names, n)
			}
		}
		if len(names) > 1 && len(names) == len(e.AsMap().Entries()) {
			all = append(all, names)
		}
	}))
	return all
}
