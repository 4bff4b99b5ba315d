package openapi

import (
	"encoding/json"
	"slices"
)

// converter turns schemas of OpenAPI into JSON Schema 2020-12, in place: those
// of 3.0 and Swagger 2 have words of their own, those of 3.1 are nearly that.
// A request is what they are made for: members that are readOnly need not be there.
type converter struct{ old bool }

// document converts every schema of a document or of a file beside it.
func (c *converter) document(v any, whole bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	if !whole && looksLikeSchema(m) {
		c.schema(m)
		return
	}
	delete(m, "jsonSchemaDialect")
	for _, key := range []string{"definitions", "$defs"} {
		c.all(m[key])
	}
	if parts, ok := m["components"].(map[string]any); ok {
		c.all(parts["schemas"])
	}
	c.search(m)
}

func looksLikeSchema(m map[string]any) bool {
	for _, key := range []string{"type", "properties", "allOf", "oneOf", "anyOf", "enum", "items", "$defs"} {
		if _, ok := m[key]; ok {
			return true
		}
	}
	return false
}

// search finds the schemas of parameters, bodies and headers.
func (c *converter) search(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			c.search(item)
		}
	case map[string]any:
		for key, value := range v {
			switch key {
			case "schema":
				c.schema(value)
			case "schemas", "definitions", "$defs", "example", "examples", "default", "enum":
			default:
				c.search(value)
			}
		}
		if !c.old {
			return
		}
		if _, in := v["in"].(string); in && v["type"] != nil { // a parameter of Swagger 2
			c.schema(v["items"])
		}
	}
}

func (c *converter) all(v any) {
	m, _ := v.(map[string]any)
	for _, s := range m {
		c.schema(s)
	}
}

func (c *converter) list(v any) {
	list, _ := v.([]any)
	for _, s := range list {
		c.schema(s)
	}
}

func (c *converter) schema(v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	if s, _ := m["$schema"].(string); s == "https://spec.openapis.org/oas/3.1/dialect/base" {
		delete(m, "$schema")
	}
	// What is read by a person or a generator. An example may look like a schema
	// with an id of its own.
	for _, key := range []string{"example", "examples", "externalDocs", "xml", "discriminator"} {
		delete(m, key)
	}
	if ref, ok := m["$ref"].(string); ok && c.old { // what stands beside it has no meaning
		clear(m)
		m["$ref"] = ref
		return
	}
	for _, key := range []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"} {
		c.all(m[key])
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf", "prefixItems"} {
		c.list(m[key])
	}
	for _, key := range []string{"items", "not", "additionalProperties", "contains", "propertyNames", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties"} {
		c.schema(m[key])
	}
	requestOnly(m)
	if c.old {
		older(m)
	}
}

// requestOnly takes what only answers have out of required.
func requestOnly(m map[string]any) {
	required, _ := m["required"].([]any)
	properties, _ := m["properties"].(map[string]any)
	if len(required) == 0 || len(properties) == 0 {
		return
	}
	m["required"] = slices.DeleteFunc(required, func(name any) bool {
		s, _ := name.(string)
		p, _ := properties[s].(map[string]any)
		return p["readOnly"] == true
	})
}

// older replaces the words of draft 4 and of OpenAPI 3.0.
func older(m map[string]any) {
	if m["nullable"] == true {
		if t, ok := m["type"].(string); ok {
			m["type"] = []any{t, "null"}
			if enum, ok := m["enum"].([]any); ok && !slices.Contains(enum, nil) {
				m["enum"] = append(slices.Clip(enum), nil)
			}
		}
	}
	delete(m, "nullable")
	for _, bound := range [][2]string{{"exclusiveMinimum", "minimum"}, {"exclusiveMaximum", "maximum"}} {
		if exclusive, ok := m[bound[0]].(bool); ok {
			delete(m, bound[0])
			if n, ok := m[bound[1]].(json.Number); ok && exclusive {
				delete(m, bound[1])
				m[bound[0]] = n
			}
		}
	}
	if m["type"] == "file" {
		m["type"] = "string"
	}
	if id, ok := m["id"].(string); ok && id != "" {
		delete(m, "id")
	}
}
