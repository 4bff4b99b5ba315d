package rawjson

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// XML becomes JSON like this:
//
//	<order id="7" xml:lang="en">      {"order": {
//	  <item>a</item>                    "@id": "7", "@xml:lang": "en",
//	  <item>b</item>                    "item": ["a", "b"],
//	  <note/>                           "note": "",
//	  paid                              "#text": "paid"
//	</order>                          }}
//
// An element is a string, its text, unless it has attributes or elements in it.
// Then it is an object: attributes with "@" before their name, elements by
// their name, in the order in which a name first comes, and the text as
// "#text", when there is more of it than white space. Elements of the same name
// are an array, where the first of them stands. All values are strings, since
// XML does not say what is a number; white space around a text is left out.
// Names keep their prefix.
//
// There are no entities but the five of XML, and no document type: one is
// refused (it is where attacks on XML parsers live). Comments and processing
// instructions are left out.
const (
	attributeMark = "@"
	textName      = "#text"
)

// element is one element or attribute of the tree. The tree lies in one slice,
// so that a document costs little more than its own size.
type element struct {
	name       int32 // in names
	start, end int32 // its own text, in text
	child      int32 // first child, 0: none
	last       int32 // last child, while the element is open; then 0
	next       int32 // next sibling
	same       int32 // next sibling of the same name
	later      bool  // it is a same of one before
}

type xmlTree struct {
	elements []element // [0] is the document
	text     []byte
	names    []string
	ids      map[string]int32
	limits   Limits
	pieces   [][]byte // the text so far of each open element
}

func appendXML(dst, body []byte, l Limits, decoded bool) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if decoded {
			return r, nil // the charset of Content-Type counts (RFC 7303 §3)
		}
		rest, err := io.ReadAll(r)
		if err == nil {
			rest, err = toUTF8(rest, strings.ToLower(charset))
		}
		return bytes.NewReader(rest), err
	}
	t := &xmlTree{elements: make([]element, 1, 64), ids: map[string]int32{}, limits: l, pieces: [][]byte{nil}}
	if err := t.read(d); err != nil {
		if e := (*Error)(nil); errors.As(err, &e) || errors.Is(err, ErrCharset) {
			return dst, err
		}
		return dst, fmt.Errorf("xml: at byte %d: %w", d.InputOffset(), err)
	}
	var b Builder
	b.Reset(dst)
	b.Object()
	root := t.elements[0].child
	b.Name(t.names[t.elements[root].name])
	t.write(&b, root)
	b.EndObject()
	return b.Bytes(), nil
}

func (t *xmlTree) read(d *xml.Decoder) error {
	open := []int32{0}
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			if len(open) > 1 || t.elements[0].child == 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		} else if err != nil {
			return err
		}
		top := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			if top == 0 && t.elements[0].child != 0 {
				return errors.New("a second root element")
			}
			if len(open)+1 > t.limits.Depth {
				return &Error{Offset: int(d.InputOffset()), Reason: tooDeep, Limit: true}
			}
			if len(t.elements)+len(token.Attr) > t.limits.Members {
				return &Error{Offset: int(d.InputOffset()), Reason: tooMany, Limit: true}
			}
			at := t.add(top, "", token.Name)
			for _, a := range token.Attr {
				t.keep(t.add(at, attributeMark, a.Name), []byte(a.Value))
			}
			open = append(open, at)
			t.pieces = append(t.pieces, nil)
		case xml.EndElement:
			if top == 0 || t.names[t.elements[top].name] != spelled(token.Name) {
				return fmt.Errorf("</%.100s> without its beginning", spelled(token.Name))
			}
			t.close(top)
			open = open[:len(open)-1]
		case xml.CharData:
			if top == 0 && len(bytes.TrimSpace(token)) > 0 {
				return errors.New("text outside of the root element")
			}
			n := len(t.pieces) - 1
			t.pieces[n] = append(t.pieces[n], token...)
		case xml.Directive:
			return errors.New("a document type or another declaration, which is refused")
		}
	}
}

func spelled(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// add adds a child to parent.
func (t *xmlTree) add(parent int32, mark string, name xml.Name) int32 {
	text := mark + spelled(name)
	id, ok := t.ids[text]
	if !ok {
		id = int32(len(t.names))
		t.ids[text] = id
		t.names = append(t.names, text)
	}
	at := int32(len(t.elements))
	t.elements = append(t.elements, element{name: id})
	if p := &t.elements[parent]; p.child == 0 {
		p.child, p.last = at, at
	} else {
		t.elements[p.last].next, p.last = at, at
	}
	return at
}

// keep keeps the text of an element or attribute.
func (t *xmlTree) keep(at int32, text []byte) {
	start := len(t.text)
	t.text = append(t.text, text...)
	t.elements[at].start, t.elements[at].end = int32(start), int32(len(t.text))
}

// close ends an element: its text is kept, and its children of the same name
// are chained.
func (t *xmlTree) close(at int32) {
	n := len(t.pieces) - 1
	t.keep(at, bytes.TrimSpace(t.pieces[n]))
	t.pieces = t.pieces[:n]
	e := &t.elements[at]
	if e.child == 0 || e.child == e.last {
		return
	}
	before := make(map[int32]int32)
	for c := e.child; c != 0; c = t.elements[c].next {
		child := &t.elements[c]
		if child.isAttribute(t) {
			continue // one that comes twice is found out as such
		}
		if b, ok := before[child.name]; ok {
			t.elements[b].same, child.later = c, true
		}
		before[child.name] = c
	}
}

func (e *element) isAttribute(t *xmlTree) bool {
	return strings.HasPrefix(t.names[e.name], attributeMark)
}

// write writes the value of an element. It calls itself as deep as the limit
// of the depth allows.
func (t *xmlTree) write(b *Builder, at int32) {
	e := &t.elements[at]
	text := t.text[e.start:e.end]
	if e.child == 0 {
		b.StringBytes(text)
		return
	}
	b.Object()
	for c := e.child; c != 0; c = t.elements[c].next {
		child := &t.elements[c]
		if child.later {
			continue
		}
		b.Name(t.names[child.name])
		if child.same == 0 {
			t.write(b, c)
			continue
		}
		b.Array()
		for s := c; s != 0; s = t.elements[s].same {
			t.write(b, s)
		}
		b.EndArray()
	}
	if len(text) > 0 {
		b.Name(textName)
		b.StringBytes(text)
	}
	b.EndObject()
}
