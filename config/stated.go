package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Stated lists what is set in a part of a document, each value by its path: what
// is empty, or is what it would be anyway, is left out.
func Stated(v any) []Difference {
	var c comparer
	c.state("", reflect.ValueOf(v), func(path, text string) { c.list = append(c.list, Difference{Path: path, New: text}) })
	return c.list
}

// state calls say for each value that is set in v.
func (c *comparer) state(path string, v reflect.Value, say func(path, text string)) {
	v = inside(v)
	if !v.IsValid() || v.Type() == posType {
		return
	}
	switch t := v.Type(); {
	case whole(t):
		if text := written(v); text != "" && !v.IsZero() {
			say(path, text)
		}
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if name, ok := shownName(f); ok && !unset(f, v.Field(i)) {
				c.state(placed(path, name, f), v.Field(i), say)
			}
		}
	case t.Kind() == reflect.Slice && v.Len() == 0:
	case t.Kind() == reflect.Slice && (inline(t.Elem()) || keyField(t.Elem()) < 0 && flat(t.Elem()) && len(written(v)) < maxInLine):
		say(path, written(v))
	case t.Kind() == reflect.Slice:
		key := keyField(t.Elem())
		for i := range v.Len() {
			name := fmt.Sprintf("[%d]", i)
			if key >= 0 {
				name = v.Index(i).Field(key).String()
			}
			c.state(below(path, name), v.Index(i), say)
		}
	case !v.IsZero():
		say(path, written(v))
	}
}

// whole reports whether values of a type are shown as they print themselves.
func whole(t reflect.Type) bool {
	return t == secretType || t.Implements(textType) || t.Implements(printType) || t == reflect.TypeFor[time.Duration]()
}

// shownName is what a field is called in a path; not ok: it says nothing.
func shownName(f reflect.StructField) (name string, ok bool) {
	if !f.IsExported() || f.Type == posType || f.Tag.Get("key") != "" {
		return "", false
	}
	if name, _, _ = strings.Cut(f.Tag.Get("yaml"), ","); name == "-" || name == "" {
		name = strings.ToLower(f.Name)
	}
	return name, true
}

// unset reports whether a field is empty where that means nothing, or is its default.
func unset(f reflect.StructField, v reflect.Value) bool {
	deflt := f.Tag.Get("default")
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return deflt == "" || deflt == "0" || deflt == "0s"
	}
	if deflt == "" {
		return false
	}
	text := written(v)
	if d, ok := inside(v).Interface().(time.Duration); ok {
		want, err := time.ParseDuration(deflt)
		return err == nil && d == want
	}
	return text == deflt || text == "["+strings.ReplaceAll(deflt, ",", ", ")+"]"
}
