package transcode

import (
	"strings"
	"testing"
)

// Whatever is wrong with a body, it is a 400 (or a 413) that names the place, and
// never the value.
func TestFlawsSayWhere(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{Limits: Limits{Message: 1000, Depth: 5, Items: 3}})
	for name, c := range map[string]struct {
		body    string
		status  int
		pointer string // "": there is no place
	}{
		"no JSON":                 {`<xml/>`, 400, "#"},
		"cut off":                 {`{"sub":{"text":"x"`, 400, "#/sub"},
		"two values":              {`{} {}`, 400, "#"},
		"a comma too many":        {`{"texts":["a",]}`, 400, "#/texts/1"},
		"an array":                {`[]`, 400, "#"},
		"no UTF-8":                {"{\"name\":\"\xff\"}", 400, "#/name"},
		"half a surrogate":        {`{"name":"\ud800"}`, 400, "#/name"},
		"a control character":     {"{\"name\":\"a\nb\"}", 400, "#/name"},
		"unknown":                 {`{"secret":1}`, 400, "#/secret"},
		"unknown, nested":         {`{"sub":{"sub":{"secret":1}}}`, 400, "#/sub/sub/secret"},
		"twice":                   {`{"name":"a","name":"b"}`, 400, "#/name"},
		"both of a oneof":         {`{"left":"a","right":"1"}`, 400, "#/right"},
		"int32 overflows":         {`{"numbers":[1,2147483648]}`, 400, "#/numbers/1"},
		"int32 underflows":        {`{"numbers":[-2147483649]}`, 400, "#/numbers/0"},
		"int64 overflows":         {`{"right":"9223372036854775808"}`, 400, "#/right"},
		"a fraction":              {`{"sub":{"number":1.5}}`, 400, "#/sub/number"},
		"double overflows":        {`{"wide":1e999}`, 400, "#/wide"},
		"a number for a string":   {`{"sub":{"text":7}}`, 400, "#/sub/text"},
		"a string for a message":  {`{"sub":"x"}`, 400, "#/sub"},
		"a value for a list":      {`{"texts":"x"}`, 400, "#/texts"},
		"a list for a value":      {`{"name":["x"]}`, 400, "#/name"},
		"null in a list":          {`{"texts":["a",null]}`, 400, "#/texts/1"},
		"a string for a bool":     {`{"flag":"true"}`, 400, "#/flag"},
		"an unknown enum":         {`{"color":"BLUE"}`, 400, "#/color"},
		"no base64":               {`{"data":"*"}`, 400, "#/data"},
		"no timestamp":            {`{"at":"yesterday"}`, 400, "#/at"},
		"a late timestamp":        {`{"at":"10000-01-01T00:00:00Z"}`, 400, "#/at"},
		"no duration":             {`{"took":"5"}`, 400, "#/took"},
		"a map's value":           {`{"labels":{"a/b":7}}`, 400, "#/labels/a~1b"},
		"deep":                    {`{"sub":{"sub":{"sub":{}}}}`, 200, ""},
		"too deep":                {`{"sub":{"sub":{"sub":{"sub":{"sub":{}}}}}}`, 400, "#/sub/sub/sub/sub/sub"},
		"a list of three":         {`{"texts":["a","b","c"]}`, 200, ""},
		"a list too long":         {`{"texts":["a","b","c","d"]}`, 400, "#/texts"},
		"a map too large":         {`{"labels":{"a":"","b":"","c":"","d":""}}`, 400, "#/labels"},
		"a message too large":     {`{"name":"` + strings.Repeat("x", 1000) + `"}`, 413, ""},
		"an unknown one, skipped": {`{"secret":[[[[[[[[[[`, 400, "#/secret"},
	} {
		a := ask(t, h, "POST /shop.v1.Mirror/Plain", c.body)
		if a.Status != c.status {
			t.Errorf("%s: %d %s %+v", name, a.Status, a.Body, a.Err)
			continue
		}
		if c.pointer == "" {
			continue
		}
		if len(a.Err.Flaws) != 1 || a.Err.Flaws[0].Pointer != c.pointer || strings.Contains(a.Err.Detail, "BLUE") {
			t.Errorf("%s: %+v, want %s", name, a.Err.Flaws, c.pointer)
		}
	}
}
