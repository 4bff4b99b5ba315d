package rawjson

import (
	"math"
	"strconv"
)

// Limits say what a document may be. The zero value is what a gateway wants.
type Limits struct {
	Bytes      int        // of the document; 0: 16 MiB
	Depth      int        // of nesting; 0: 128
	Members    int        // members and elements of the whole document; 0: 1,000,000
	UTF8       UTF8       // what becomes of invalid UTF-8
	Duplicates Duplicates // what becomes of a member that is named twice
}

// UTF8 says what becomes of invalid UTF-8.
type UTF8 uint8

const (
	RefuseUTF8  UTF8 = iota // it is an error
	ReplaceUTF8             // each byte that belongs to no character becomes U+FFFD, as encoding/json has it
)

// Duplicates says what becomes of members of the same name in one object.
type Duplicates uint8

const (
	RefuseDuplicates Duplicates = iota // they are an error
	KeepFirst                          // the first stays
	KeepLast                           // the last stays, where the last stands
)

const (
	defaultBytes   = 16 << 20
	defaultDepth   = 128
	defaultMembers = 1_000_000
)

// full returns l with the defaults in it.
func (l Limits) full() Limits {
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	l.Bytes = min(l.Bytes, math.MaxInt32)
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Members <= 0 {
		l.Members = defaultMembers
	}
	return l
}

// Error is what is wrong with a document.
type Error struct {
	Offset int    // the byte where it shows
	Reason string // "unexpected character"; says nothing of the content
	Limit  bool   // it is well-formed so far, but more than Limits allow
}

func (e *Error) Error() string {
	return "json: " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}
