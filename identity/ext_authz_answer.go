package identity

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gopura/exchange"
)

// ruling is a CheckResponse (external_auth.proto).
type ruling struct {
	set         []fieldOption // of the request, for the upstream
	remove      []string
	respond     []fieldOption // of the answer, for the client
	querySet    []queryParameter
	queryRemove []string
	metadata    map[string]any
	denied      *denial // nil: the request may pass
}

type denial struct {
	status int
	fields []fieldOption
	body   string
}

type queryParameter struct{ name, value string }

// fieldOption is a field and how it goes with what is there.
type fieldOption struct {
	name, value string
	append      bool // append: true; the old word, and the stronger one
	told        bool // append was there
	action      int32
	keepEmpty   bool
}

// The actions of HeaderValueOption.
const (
	addAlways = iota
	addIfAbsent
	overwriteOrAdd
	overwriteIfThere
)

var (
	errNoRuling = errors.New("an answer that says neither yes nor no")
	errBothWays = errors.New("an answer that says both yes and no")
	errService  = errors.New("the service says that it could not decide")
	errField    = errors.New("an answer with a header field that is none")
)

// readRuling reads an answer. Only what says so lets a request pass: status OK,
// or an ok_response where there is no status; an empty answer says nothing.
func readRuling(b []byte) (*ruling, error) {
	v := new(ruling)
	var told, yes, no, fault bool
	var code int32
	err := eachField(b, func(p protoField) (err error) {
		if p.number <= 5 && p.kind != 2 {
			return errProto
		}
		switch p.number {
		case 1:
			told = true
			err = eachField(p.data, func(p protoField) (err error) {
				if p.number == 1 {
					code, err = p.int32()
				}
				return err
			})
		case 2:
			no, yes, fault = true, false, false // a oneof: the last one counts
			v.denied, err = readDenial(p.data)
		case 3:
			yes, no, fault = true, false, false
			err = v.readLeave(p.data)
		case 4:
			v.metadata, err = readStruct(p.data, 0)
		case 5:
			fault, yes, no = true, false, false
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case fault:
		return nil, errService
	case !told && !yes && !no:
		return nil, errNoRuling
	case told && code == 0 && no:
		return nil, errBothWays
	case code != 0 && !no:
		v.denied = &denial{status: 403}
	}
	return v, v.check()
}

// readLeave reads an OkHttpResponse.
func (v *ruling) readLeave(b []byte) error {
	*v = ruling{metadata: v.metadata}
	return eachField(b, func(p protoField) (err error) {
		var text string
		switch p.number {
		case 2:
			v.set, err = appendOption(v.set, p)
		case 5:
			text, err = p.text()
			v.remove = append(v.remove, text)
		case 6:
			v.respond, err = appendOption(v.respond, p)
		case 7:
			if p.kind != 2 {
				return errProto
			}
			var q queryParameter
			err = eachField(p.data, func(p protoField) (err error) {
				switch p.number {
				case 1:
					q.name, err = p.text()
				case 2:
					q.value, err = p.text()
				}
				return err
			})
			v.querySet = append(v.querySet, q)
		case 8:
			text, err = p.text()
			v.queryRemove = append(v.queryRemove, text)
		}
		return err
	})
}

// readDenial reads a DeniedHttpResponse.
func readDenial(b []byte) (*denial, error) {
	d := &denial{status: 403}
	err := eachField(b, func(p protoField) (err error) {
		switch p.number {
		case 1:
			if p.kind != 2 {
				return errProto
			}
			err = eachField(p.data, func(p protoField) error {
				if p.number != 1 {
					return nil
				}
				code, err := p.int32()
				if code != 0 {
					d.status = int(code)
				}
				return err
			})
		case 2:
			d.fields, err = appendOption(d.fields, p)
		case 3:
			d.body, err = p.text()
		}
		return err
	})
	return d, err
}

// appendOption reads a HeaderValueOption.
func appendOption(list []fieldOption, p protoField) ([]fieldOption, error) {
	if p.kind != 2 {
		return nil, errProto
	}
	var o fieldOption
	err := eachField(p.data, func(p protoField) (err error) {
		if p.number <= 2 && p.kind != 2 {
			return errProto
		}
		switch p.number {
		case 1:
			err = eachField(p.data, func(p protoField) (err error) {
				switch {
				case p.number == 1:
					o.name, err = p.text()
				case p.number == 2:
					o.value, err = p.text()
				case p.number == 3 && p.kind == 2:
					o.value = string(p.data)
				}
				return err
			})
		case 2:
			o.told, o.append = true, false
			err = eachField(p.data, func(p protoField) error {
				o.append = p.number == 1 && p.value != 0
				return nil
			})
		case 3:
			o.action, err = p.int32()
		case 4:
			o.keepEmpty = p.value != 0
		}
		return err
	})
	return append(list, o), err
}

// check refuses an answer whose fields would be something else on the wire:
// whose service is led to say such things is not to be believed in the rest.
func (v *ruling) check() error {
	lists := [][]fieldOption{v.set, v.respond}
	if d := v.denied; d != nil {
		lists = append(lists, d.fields)
		if d.status < 200 || d.status > 599 {
			return fmt.Errorf("an answer with status %d", d.status)
		}
		if len(d.body) > maxForwardBody {
			return fmt.Errorf("an answer larger than %d bytes", maxForwardBody)
		}
	}
	for _, o := range slices.Concat(lists...) {
		if !exchange.ValidName(strings.TrimPrefix(o.name, ":")) || !exchange.ValidValue(o.value) {
			return errField
		}
	}
	return nil
}

// pass makes the identity of leave, and changes the request as the service wants.
func (a *extAuthz) pass(x *exchange.Exchange, v *ruling) (*exchange.Identity, error) {
	s := a.settings
	h := &x.Request.Header
	for _, name := range v.remove {
		if checkForwarded(name) == nil {
			h.DelAlias(name)
		}
	}
	for _, name := range s.Copy {
		h.DelAlias(name)
	}
	for _, o := range v.set {
		if slices.ContainsFunc(s.Copy, func(name string) bool { return strings.EqualFold(name, o.name) }) {
			o.apply(h)
		} else {
			a.env.Log.Debug("the authorization service sets a field that is not under copy", "field", o.name)
		}
	}
	changeQuery(&x.Request, v)
	claims := make(map[string]any, len(s.Claims)+1)
	if s.Metadata {
		for name, value := range v.metadata {
			claims[name] = value
		}
	}
	for _, c := range s.Claims {
		delete(claims, c.Name) // what the metadata says under that name does not stand in for it
		var values []string
		for value := range h.Values(c.Value) {
			values = append(values, string(value))
		}
		if len(values) > 0 {
			claims[c.Name] = strings.Join(values, ", ")
		}
	}
	sub := textClaim(claims, s.Sub)
	switch {
	case s.Sub != "" && sub == "":
		return nil, unavailable(errors.New("the service lets pass, but doesn't say whom"))
	case sub != "":
		claims["sub"] = sub
	default:
		delete(claims, "sub") // nobody has said that it is one
	}
	for _, o := range v.respond {
		if checkForwarded(o.name) == nil {
			x.Response.Header.Add(o.name, o.value)
		}
	}
	return &exchange.Identity{Name: a.name, Sub: sub, Claims: claims}, nil
}

// apply puts the field into a header. Where the service does not say how, it
// takes the place of what is there.
func (o *fieldOption) apply(h *exchange.Header) {
	there := h.Has(o.name)
	add := o.append
	switch {
	case o.told:
	case o.action == addIfAbsent && there, o.action == overwriteIfThere && !there:
		return
	}
	if !add {
		h.DelAlias(o.name)
	}
	if o.value != "" || o.keepEmpty {
		h.Add(o.name, o.value)
	}
}

// changeQuery takes parameters out of the query and sets others.
func changeQuery(r *exchange.Request, v *ruling) {
	if len(v.queryRemove)+len(v.querySet) == 0 {
		return
	}
	query := slices.Clone(r.Query)
	drop := func(name string) { query = withoutParameter(nil, query, name, false) }
	for _, name := range v.queryRemove {
		drop(name)
	}
	for _, p := range v.querySet {
		drop(p.name)
	}
	for _, p := range v.querySet {
		if len(query) > 0 {
			query = append(query, '&')
		}
		query = append(query, url.QueryEscape(p.name)+"="+url.QueryEscape(p.value)...)
	}
	if r.Query = query; len(query) == 0 {
		r.Query = nil
	}
}

// deny makes the service's refusal or redirect the answer; who speaks gRPC gets
// a status that says the same.
func (a *extAuthz) deny(x *exchange.Exchange, d *denial) error {
	e := exchange.IdentityInvalid.Errorf("ext_authz: the service answered with status %d", d.status)
	if exchange.IsGRPC(x.Request.Header.Get("Content-Type")) {
		if e.Status = d.status; d.status < 400 {
			e.Status = 401
		}
		return e
	}
	x.DropResponse()
	for _, o := range d.fields {
		if checkForwarded(o.name) != nil {
			continue // of a connection, of a body or of HTTP/2
		}
		if o.told && !o.append || !o.told && o.action != addAlways {
			x.Response.Header.Del(o.name)
		}
		x.Response.Header.Add(o.name, o.value)
	}
	if d.status >= 400 {
		e.Status = d.status
		x.Err = e // for the records
	}
	made(x, d.status, []byte(d.body))
	return Answered
}
