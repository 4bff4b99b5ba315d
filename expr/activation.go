package expr

import (
	"fmt"
	"reflect"
	"unsafe"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gopura/exchange"
)

// activation is what CEL asks for the value of a name while it evaluates. It
// computes a fact when it is asked for it, into memory of its own.
//
// The strings that it hands to CEL are views of scratch. Nothing that CEL
// returns may outlive the evaluation as it is: see Program.
type activation struct {
	x       *exchange.Exchange
	facts   []*fact // of the program: a handful, so a scan is the fastest map
	tables  []table // one for each table fact, made once
	scratch []byte
	names   []string // of Env.With
	vars    Vars     // their values
}

const maxScratch = 64 << 10 // a larger one is not kept

func newActivation() *activation {
	a := &activation{scratch: make([]byte, 0, 512)}
	for _, f := range facts {
		if f.table {
			a.tables = append(a.tables, table{a, f})
		}
	}
	return a
}

func (a *activation) reset() {
	a.x, a.facts, a.names, a.vars = nil, nil, nil, nil
	if cap(a.scratch) > maxScratch {
		a.scratch = make([]byte, 0, 512)
	}
	a.scratch = a.scratch[:0]
}

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	for _, f := range a.facts {
		if f.name == name {
			if f.table {
				return a.table(f), true
			}
			return a.fact(f, ""), true
		}
	}
	return a.resolveVar(name)
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

func (a *activation) table(f *fact) *table {
	for i := range a.tables {
		if a.tables[i].fact == f {
			return &a.tables[i]
		}
	}
	return nil
}

func (a *activation) fact(f *fact, key string) ref.Val {
	switch {
	case f.claim != nil:
		return types.DefaultTypeAdapter.NativeToValue(f.claim(a.x, key))
	case f.name == "client.port":
		return types.Int(a.x.Client.Addr.Port())
	}
	n := len(a.scratch)
	a.scratch = f.append(a.scratch, a.x, key)
	b := a.scratch[n:]
	return types.String(unsafe.String(unsafe.SliceData(b), len(b)))
}

// table is a table fact as CEL sees it. It can be indexed and tested, and
// nothing else: the checker refuses other uses.
type table struct {
	a    *activation
	fact *fact
}

// Get implements traits.Indexer: what is not there is empty.
func (t *table) Get(key ref.Val) ref.Val {
	k, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key)
	}
	return t.a.fact(t.fact, string(k))
}

// IsSet implements traits.FieldTester: has(header.x).
func (t *table) IsSet(key ref.Val) ref.Val { return t.Contains(key) }

// Contains implements traits.Container: "x" in header.
func (t *table) Contains(key ref.Val) ref.Val {
	k, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key)
	}
	return types.Bool(t.fact.has(t.a.x, string(k)))
}

// Type implements ref.Val.
func (t *table) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (t *table) Value() any { return t }

// Equal implements ref.Val.
func (t *table) Equal(other ref.Val) ref.Val { return types.Bool(t == other) }

// ConvertToNative implements ref.Val.
func (t *table) ConvertToNative(d reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is a table", t.fact.name)
}

// ConvertToType implements ref.Val.
func (t *table) ConvertToType(ref.Type) ref.Val { return types.NewErr("%s is a table", t.fact.name) }
