package expr

import (
	"fmt"
	"reflect"
	"unsafe"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gopura/rawjson"
)

// A JSON value as CEL sees it. Objects and arrays stay the bytes that they
// are: a.b[0].c walks them, and what an expression passes on untouched is
// spliced into its result. Strings are views of the bytes where they are
// written without escapes.
//
// A number is an int if it is written as an integer that fits, else a uint if
// that fits, else a double if its digits survive, else a rawNumber.
func rawVal(v rawjson.Value) ref.Val {
	switch v.Kind() {
	case rawjson.Object:
		return &rawMap{rawjson.Table{Value: v}}
	case rawjson.Array:
		return &rawList{rawjson.Table{Value: v}}
	case rawjson.String:
		if b, ok := v.Plain(); ok {
			return types.String(unsafe.String(unsafe.SliceData(b), len(b)))
		}
		return types.String(v.String())
	case rawjson.Bool:
		b, _ := v.Bool()
		return types.Bool(b)
	case rawjson.Number:
		return rawNum(v)
	}
	return types.NullValue
}

func rawNum(v rawjson.Value) ref.Val {
	if n, ok := v.Int64(); ok {
		return types.Int(n)
	}
	if n, ok := v.Uint64(); ok {
		return types.Uint(n)
	}
	f, exact := v.Float64()
	if exact {
		return types.Double(f)
	}
	return rawNumber{types.Double(f), v}
}

// rawNumber is a number with more digits than CEL's types hold. It computes
// and compares as the nearest double when it stands on the left; on the right,
// CEL knows no such number: it equals nothing, and is an error elsewhere.
// double(x) makes it an ordinary one. Passed on, it keeps its digits.
type rawNumber struct {
	types.Double
	value rawjson.Value
}

// Equal implements ref.Val.
func (n rawNumber) Equal(other ref.Val) ref.Val {
	if o, ok := other.(rawNumber); ok {
		return types.Bool(n.value.Same(o.value))
	}
	return n.Double.Equal(other)
}

// Compare implements traits.Comparer.
func (n rawNumber) Compare(other ref.Val) ref.Val {
	if o, ok := other.(rawNumber); ok {
		return n.Double.Compare(o.Double)
	}
	return n.Double.Compare(other)
}

// ConvertToType implements ref.Val.
func (n rawNumber) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.DoubleType:
		return n.Double
	case types.StringType:
		return types.String(n.value.Bytes())
	}
	return n.Double.ConvertToType(t)
}

// rawMap is an object.
type rawMap struct{ rawjson.Table }

// Find implements traits.Mapper.
func (m *rawMap) Find(key ref.Val) (ref.Val, bool) {
	k, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := m.Member(string(k))
	if !ok {
		return nil, false
	}
	return rawVal(v), true
}

// Get implements traits.Indexer.
func (m *rawMap) Get(key ref.Val) ref.Val {
	if v, ok := m.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (m *rawMap) Contains(key ref.Val) ref.Val {
	_, ok := m.Find(key)
	return types.Bool(ok)
}

// IsSet implements traits.FieldTester.
func (m *rawMap) IsSet(key ref.Val) ref.Val { return m.Contains(key) }

// Size implements traits.Sizer.
func (m *rawMap) Size() ref.Val { return types.Int(m.Len()) }

// IsZeroValue implements traits.Zeroer: what .?x.optOrNull and the like ask.
func (m *rawMap) IsZeroValue() bool { return m.Len() == 0 }

// Iterator implements traits.Iterable: the names, in their order.
func (m *rawMap) Iterator() traits.Iterator { return newRawIterator(m.Table.Value, true) }

// Type implements ref.Val.
func (m *rawMap) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m *rawMap) Value() any { return m }

// Equal implements ref.Val: the same names with equal values.
func (m *rawMap) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Mapper)
	if !ok || o.Size() != m.Size() {
		return types.False
	}
	for c := m.Table.Value.Walk(); c.Next(); {
		v, ok := o.Find(types.String(c.Name.String()))
		if !ok || types.Equal(rawVal(c.Value), v) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToType implements ref.Val.
func (m *rawMap) ConvertToType(t ref.Type) ref.Val { return convertRaw(m, types.MapType, t) }

// ConvertToNative implements ref.Val.
func (m *rawMap) ConvertToNative(t reflect.Type) (any, error) { return nativeRaw(m, t) }

// rawList is an array.
type rawList struct{ rawjson.Table }

// Get implements traits.Indexer.
func (l *rawList) Get(index ref.Val) ref.Val {
	i, err := types.GetOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	v, ok := l.Index(int(i))
	if !ok {
		return types.NewErr("index out of bounds: %d", i)
	}
	return rawVal(v)
}

// Contains implements traits.Container.
func (l *rawList) Contains(value ref.Val) ref.Val {
	for c := l.Table.Value.Walk(); c.Next(); {
		if types.Equal(rawVal(c.Value), value) == types.True {
			return types.True
		}
	}
	return types.False
}

// Add implements traits.Adder: a + b.
func (l *rawList) Add(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	if l.Len() == 0 {
		return o
	}
	return types.NewRefValList(types.DefaultTypeAdapter, append(elements(l), elements(o)...))
}

func elements(l traits.Lister) (all []ref.Val) {
	for it := l.Iterator(); it.HasNext() == types.True; {
		all = append(all, it.Next())
	}
	return all
}

// Size implements traits.Sizer.
func (l *rawList) Size() ref.Val { return types.Int(l.Len()) }

// IsZeroValue implements traits.Zeroer.
func (l *rawList) IsZeroValue() bool { return l.Len() == 0 }

// Iterator implements traits.Iterable.
func (l *rawList) Iterator() traits.Iterator { return newRawIterator(l.Table.Value, false) }

// Type implements ref.Val.
func (l *rawList) Type() ref.Type { return types.ListType }

// Value implements ref.Val.
func (l *rawList) Value() any { return l }

// Equal implements ref.Val.
func (l *rawList) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok || o.Size() != l.Size() {
		return types.False
	}
	it := o.Iterator()
	for c := l.Table.Value.Walk(); c.Next(); {
		if types.Equal(rawVal(c.Value), it.Next()) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToType implements ref.Val.
func (l *rawList) ConvertToType(t ref.Type) ref.Val { return convertRaw(l, types.ListType, t) }

// ConvertToNative implements ref.Val. CEL's own functions (join, sort) ask for
// it.
func (l *rawList) ConvertToNative(t reflect.Type) (any, error) { return nativeRaw(l, t) }

func convertRaw(v ref.Val, own, t ref.Type) ref.Val {
	switch t {
	case own:
		return v
	case types.TypeType:
		return own.(*types.Type)
	}
	return types.NewErr("type conversion error from '%s' to '%s'", own.TypeName(), t.TypeName())
}

func nativeRaw(v ref.Val, t reflect.Type) (any, error) {
	switch v := v.(type) {
	case *rawList:
		return types.NewRefValList(types.DefaultTypeAdapter, elements(v)).ConvertToNative(t)
	case *rawMap:
		all := make(map[ref.Val]ref.Val)
		for c := v.Table.Value.Walk(); c.Next(); {
			all[types.String(c.Name.String())] = rawVal(c.Value)
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, all).ConvertToNative(t)
	}
	return nil, fmt.Errorf("a %s is no %v", v.Type().TypeName(), t)
}

// rawIterator walks names or elements.
type rawIterator struct {
	cursor rawjson.Cursor
	names  bool
	more   bool
}

func newRawIterator(v rawjson.Value, names bool) *rawIterator {
	it := &rawIterator{cursor: v.Walk(), names: names}
	it.more = it.cursor.Next()
	return it
}

// HasNext implements traits.Iterator.
func (it *rawIterator) HasNext() ref.Val { return types.Bool(it.more) }

// Next implements traits.Iterator.
func (it *rawIterator) Next() ref.Val {
	if !it.more {
		return nil
	}
	var v ref.Val
	if it.names {
		v = types.String(it.cursor.Name.String())
	} else {
		v = rawVal(it.cursor.Value)
	}
	it.more = it.cursor.Next()
	return v
}

// The rest of ref.Val, which nobody asks an iterator for.
func (it *rawIterator) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an iterator is no %v", t)
}
func (it *rawIterator) ConvertToType(ref.Type) ref.Val {
	return types.NewErr("an iterator is no value")
}
func (it *rawIterator) Equal(ref.Val) ref.Val { return types.False }
func (it *rawIterator) Type() ref.Type        { return types.IteratorType }
func (it *rawIterator) Value() any            { return nil }
