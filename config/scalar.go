package config

import (
	"encoding"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// scalar fills a value that is written as one text.
func (d *decoder) scalar(n *node, v reflect.Value, f *field, path string) {
	t := v.Type()
	if n.kind != scalar || n.null() {
		if t == typeSecret {
			d.conceal(n)
		}
		d.wrong(n, path, d.what(t))
		return
	}
	text, secret, ok := d.text(n, path)
	if !ok {
		return
	}
	if t == typeSecret {
		d.secret(n, v, text, secret, path)
		return
	}
	if d.defaulting {
		secret = false
	}
	shown := quote(text)
	if secret {
		shown = hidden
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		hint := ""
		if best := nearest(text, f.enum); best != "" && !secret {
			hint = "did you mean " + quote(best) + "?"
		}
		d.problem(n.pos, path, hint, "expected %s, got %s", either(f.enum), shown)
		return
	}
	switch err := setScalar(v, text).(type) {
	case nil:
	case Form:
		d.problem(n.pos, path, "", "expected %s, got %s", string(err), shown)
		return
	default:
		d.problem(n.pos, path, scalarHint(t, text, secret, err), "expected %s, got %s", d.what(t), d.reason(t, shown, secret, err))
		return
	}
	d.bounds(n, v, f, shown, path)
}

// Form is the error of an UnmarshalText whose text is written otherwise: what is
// expected, with examples, "a rate (10/s, 5/10s)". It holds nothing of the text.
type Form string

func (f Form) Error() string { return "expected " + string(f) }

// reason is what a message says about a text that is none of its type.
func (d *decoder) reason(t reflect.Type, shown string, secret bool, err error) string {
	switch {
	case errors.Is(err, errRange):
		return shown + ", which is out of range"
	case !secret && err != errForm && err != errUnit && reflect.PointerTo(t).Implements(typeText) && t != typePrefix && t != typeAddr:
		return shown + ": " + err.Error()
	}
	return shown
}

func scalarHint(t reflect.Type, text string, secret bool, err error) string {
	if secret {
		return ""
	}
	switch {
	case t == typeDuration && err == errUnit && isDigits(text):
		return "did you mean " + quote(text+"s") + "?"
	case t == typePercent && err == errUnit && isDigits(text):
		return "did you mean " + quote(text+"%") + "?"
	case t == typeDuration && err == errUnit:
		return "units: ns, us, ms, s, m, h, d, y"
	case t == typeSize && err == errUnit:
		return "units: KiB, MiB, GiB; kB, MB, GB; k, m, g for the first three"
	}
	return ""
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// bounds checks the limits of a number.
func (d *decoder) bounds(n *node, v reflect.Value, f *field, shown, path string) {
	if f.min != "" && number(v) < limit(v.Type(), f.min) {
		d.problem(n.pos, path, "", "must be at least %s, got %s", f.min, shown)
	}
	if f.max != "" && number(v) > limit(v.Type(), f.max) {
		d.problem(n.pos, path, "", "must be at most %s, got %s", f.max, shown)
	}
}

func limit(t reflect.Type, text string) float64 {
	v := reflect.New(t).Elem()
	if err := setScalar(v, text); err != nil {
		panic("config: limit " + text + " of " + t.String() + ": " + err.Error())
	}
	return number(v)
}

func number(v reflect.Value) float64 {
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	case v.CanFloat():
		return v.Float()
	}
	return 0
}

// setScalar sets v to what the text says. Errors name no text.
func setScalar(v reflect.Value, text string) error {
	switch t := v.Type(); t {
	case typeDuration:
		return assign(v, ParseDuration, text)
	case typeSize:
		return assign(v, ParseSize, text)
	case typePercent:
		return assign(v, ParsePercent, text)
	case typeRate:
		return assign(v, ParseRate, text)
	case typePrefix:
		return assign(v, parsePrefix, text)
	case typeAddr:
		return assign(v, netip.ParseAddr, text)
	default:
		if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return u.UnmarshalText([]byte(text))
		}
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		on := slices.Contains([]string{"true", "on", "yes"}, text)
		if !on && !slices.Contains([]string{"false", "off", "no"}, text) {
			return errForm
		}
		v.SetBool(on)
	case v.CanInt():
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return numberError(err)
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return numberError(err)
		}
		v.SetUint(u)
	case v.CanFloat():
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x != x || x-x != 0 {
			return errForm
		}
		v.SetFloat(x)
	}
	return nil
}

func assign[T any](v reflect.Value, parse func(string) (T, error), text string) error {
	x, err := parse(text)
	if err == nil {
		v.Set(reflect.ValueOf(x))
	}
	return err
}

func numberError(err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return errRange
	}
	return errForm
}

// parsePrefix reads a network; an address is a network of one.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, errForm
		}
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// secret fills a Secret. One that stands in the file is a warning, and is
// hidden in excerpts.
func (d *decoder) secret(n *node, v reflect.Value, text string, referred bool, path string) {
	if d.problems.secrets.learn(text); !referred {
		d.problems.secrets.learnLiteral(text)
	}
	v.Set(reflect.ValueOf(NewSecret(text)))
	if text == "" {
		d.problem(n.pos, path, "", "the secret is empty")
	} else if !referred {
		d.problems.add(Problem{Pos: n.pos, Path: path, Warning: true, Message: "a secret stands in the file", Hint: "refer to it: ${env:NAME} or ${file:path}"})
	}
}

// conceal hides every text of a node that was meant to be a secret.
func (d *decoder) conceal(n *node) {
	if n.kind == scalar && !n.null() && !hasReference(n.text) {
		d.problems.secrets.learnLiteral(n.text)
	}
	for _, c := range n.items {
		d.conceal(c)
	}
	for _, e := range n.entries {
		d.conceal(e.value)
	}
}
