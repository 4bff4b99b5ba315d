package transcode

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// The table of google.api.http: which request means which message.
func TestBindings(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	for _, c := range []struct{ line, body, method, question string }{
		{"GET /v1/messages/1", "", "Get", `{"name":"messages/1"}`},
		{"GET /v1/messages/a%20b%2Fc", "", "Get", `{"name":"messages/a b%2Fc"}`},
		{"GET /v1/users/u%2F7/messages/9", "", "Get", `{"id":"9","sub":{"text":"u/7"}}`},
		{"GET /v1/shelves/1/books/2/pages/3:read", "", "Get", `{"name":"shelves/1/books/2/pages/3"}`},
		{"GET /v1/shelves/1/books:read", "", "Get", `{"name":"shelves/1/books"}`},
		{"GET /v1/messages/1?id=2&sub.sub.text=deep&sub.sub.number=5", "", "Get", `{"name":"messages/1","id":"2","sub":{"sub":{"text":"deep","number":5}}}`},
		{"GET /v1/messages/1?texts=a&texts=b+c%21&numbers=1&numbers=-2", "", "Get", `{"name":"messages/1","texts":["a","b c!"],"numbers":[1,-2]}`},
		{"GET /v1/messages/1?color=RED&flag=true&wide=NaN&data=AQI", "", "Get", `{"name":"messages/1","color":"RED","flag":true,"wide":"NaN","data":"AQI="}`},
		{"GET /v1/messages/1?color=2&at=2024-01-02T03:04:05Z&took=1.5s&mask=sub.text,id&maybe=", "", "Get",
			`{"name":"messages/1","color":"GREEN","at":"2024-01-02T03:04:05Z","took":"1.500s","mask":"sub.text,id","maybe":""}`},
		{"PATCH /v1/messages/1?mask=sub&flag=1", `{"text":"x","sub":{}}`, "Update", `{"id":"1","mask":"sub","flag":true,"sub":{"text":"x","sub":{}}}`},
		{"PUT /v1/messages/1", `{"id":"no","name":"n","labels":{"a":"b"}}`, "Update", `{"id":"1","name":"n","labels":{"a":"b"}}`},
		{"POST /v1/messages/1:cancel", ``, "Update", `{"id":"1"}`},
		{"POST /v1/messages/1:cancel", `{"right":"9007199254740993"}`, "Update", `{"id":"1","right":"9007199254740993"}`},
		{"DELETE /v1/messages/a:b", "", "Update", `{"id":"a:b"}`},
		{"PROPFIND /v1/messages/7?name=x", "", "Update", `{"id":"7","name":"x"}`},
		{"POST /v1/lists", `["a","b"]`, "Update", `{"texts":["a","b"]}`},
		{"POST /shop.v1.Mirror/Plain", `{"name":"x"}`, "Plain", `{"name":"x"}`},
	} {
		a := ask(t, h, c.line, c.body)
		var got struct {
			Method   string
			Question any
		}
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
			t.Errorf("%s: %d %s %v", c.line, a.Status, a.Body, a.Err)
			continue
		}
		var want any
		json.Unmarshal([]byte(c.question), &want)
		if got.Method != "/shop.v1.Mirror/"+c.method || !reflect.DeepEqual(got.Question, want) {
			t.Errorf("%s:\ngot  %s\nwant %s %s", c.line, a.Body, c.method, c.question)
		}
	}
	if a := ask(t, h, "GET /v1/parts/5", ""); a.Body != `{"id":"5"}` {
		t.Errorf("response_body: %s", a.Body)
	}
}

// What a request says that the method does not take is refused, by name.
func TestRefusals(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	for _, c := range []struct {
		line, body, code, detail string
	}{
		{"GET /v1/messages/1?nope=1", "", "request_invalid", "query nope: there is no such parameter"},
		{"GET /v1/messages/1?sub.nope=1", "", "request_invalid", "query sub.nope: there is no such parameter"},
		{"GET /v1/messages/1?sub=1", "", "request_invalid", "query sub: is a message or a map: a parameter can't set it"},
		{"GET /v1/messages/1?labels=1", "", "request_invalid", "query labels: is a message or a map: a parameter can't set it"},
		{"GET /v1/messages/1?name=1", "", "request_invalid", "query name: is set by the path"},
		{"GET /v1/messages/1?id=mine&id=yours", "", "request_invalid", "query id: is there twice"},
		{"GET /v1/messages/1?sub.text=a&sub%2Etext=b", "", "request_invalid", "query sub.text: is there twice"},
		{"GET /v1/messages/1?mask=id&mask=sub", "", "request_invalid", "query mask: is there twice"},
		{"GET /v1/messages/1?left=a&right=5", "", "request_invalid", "query right: only one of its group may be set"},
		{"GET /v1/messages/1?numbers=x", "", "request_invalid", "query numbers: a whole number that fits an int32 is expected"},
		{"GET /v1/messages/1?texts=%zz", "", "request_invalid", "query texts: has an invalid escape"},
		{"GET /v1/messages/1?color=BLUE", "", "request_invalid", "query color: the enum has no such name"},
		{"PUT /v1/messages/1?flag=1", "{}", "request_invalid", "query flag: there is no such parameter: the body has all fields"},
		{"PATCH /v1/messages/1?sub.text=1", "{}", "request_invalid", "query sub.text: is set by the body"},
		{"PUT /v1/messages/1", `{"sub":{"sub":{"number":"x"}}}`, "request_invalid", "sub.sub.number: a whole number that fits an int32 is expected"},
		{"PUT /v1/messages/1", `{"name":`, "request_invalid", "name: a string is expected"},
		{"PUT /v1/messages/1", `<xml/>`, "request_invalid", "an object is expected"},
		{"GET /v1/nothing", "", "no_route", ""},
		{"POST /v1/parts/5", "{}", "method_not_allowed", ""},
		{"GET /v1/fail/x", "", "request_invalid", "path code: a whole number that fits an int32 is expected"},
	} {
		a := ask(t, h, c.line, c.body)
		if a.Err == nil || a.Err.Code != c.code || a.Err.Detail != c.detail {
			t.Errorf("%s %s:\ngot  %d %+v %s\nwant %s %s", c.line, c.body, a.Status, a.Err, a.Body, c.code, c.detail)
		}
	}
	if a := ask(t, h, "POST /v1/parts/5", ""); a.Err == nil || string(a.Err.Header.Get("Allow")) != "GET, HEAD" {
		t.Errorf("Allow: %+v", a.Err)
	}
	if a := ask(t, h, "PUT /v1/messages/1", "a=b", "Content-Type: application/x-www-form-urlencoded"); a.Status != 415 {
		t.Errorf("a form: %d", a.Status)
	}
	if a := ask(t, s.handler(Options{IgnoreQuery: true}), "GET /v1/messages/1?nope=1&id=2", ""); a.Status != 200 || !strings.Contains(a.Body, `"id":"2"`) {
		t.Errorf("ignored: %d %s", a.Status, a.Body)
	}
}

// Headers are metadata and back, by rule; the exchange looks as before.
func TestMetadata(t *testing.T) {
	for _, compress := range []bool{false, true} {
		s := startShop(t, "")
		s.compress = compress
		h := s.handler(Options{})
		x := request("GET /v1/products/tea-01", "", "X-Tenant: acme", "Authorization: Bearer t", "Accept: application/json", "If-None-Match: x", "Grpc-Timeout: 1n", "Content-Length: 7", "X-Key-Bin: AAE=", "User-Agent: curl/8")
		x.Deadline = time.Now().Add(time.Minute)
		if err := h.Serve(x); err != nil {
			t.Fatal(err)
		}
		body, _ := exchange.ReadAll(x.Response.Body, 1<<20)
		if want := `{"id":"tea-01","name":"Assam","price":{"currency":"INR","units":"9007199254740993"},"stock":"12","tags":["a","b"]}`; string(body) != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
		hdr := &x.Response.Header
		for name, want := range map[string]string{"Content-Type": "application/json", "x-shelf": "7", "x-blob-bin": "AAE", "x-cost": "3", "grpc-status": "", "grpc-encoding": ""} {
			if got := string(hdr.Get(name)); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if x.Request.Method != "GET" || string(x.Request.Path) != "/v1/products/tea-01" || !x.Request.Header.Has("If-None-Match") || x.Request.Header.Has("grpc-timeout") && string(x.Request.Header.Get("grpc-timeout")) != "1n" {
			t.Errorf("the request has changed: %s %s", x.Request.Method, x.Request.Path)
		}
		md := s.seen[0]
		for name, want := range map[string]string{"x-tenant": "acme", "authorization": "Bearer t", "x-key-bin": "\x00\x01", "accept": "", "if-none-match": ""} {
			if got := strings.Join(md.Get(name), ","); got != want {
				t.Errorf("metadata %s: %q, want %q", name, got, want)
			}
		}
		x.Done()
		if a := ask(t, h, "GET /v1/products/1", "", "X-Key-Bin: ???"); a.Err == nil || a.Err.Detail != "header x-key-bin: the value of a -bin field is base64" {
			t.Errorf("-bin: %+v", a.Err)
		}
	}
}

// An error of the service is problem details with the status that its code has.
func TestErrors(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	for code, status := range map[string]int{"1": 499, "2": 500, "3": 400, "4": 504, "5": 404, "6": 409, "7": 403, "8": 429, "9": 400, "10": 409, "11": 400, "12": 501, "13": 500, "14": 503, "15": 500, "16": 401} {
		if a := ask(t, h, "GET /v1/fail/"+code+"?message=no", ""); a.Status != status || !strings.Contains(a.Body, `"detail":"no"`) {
			t.Errorf("%s: %d %s %v", code, a.Status, a.Body, a.Err)
		}
	}
	a := ask(t, h, "GET /v1/fail/3?message=na%C3%AFve%25&details=true", "")
	want := `{"type":"about:blank","title":"Invalid argument","status":400,"code":"grpc_invalid_argument","grpc_code":3,"detail":"naïve%","request_id":"id-1",` +
		`"details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"id","description":"too short"}]},` +
		`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"},{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}]}` + "\n"
	if a.Body != want {
		t.Errorf("got  %s\nwant %s", a.Body, want)
	}
	if string(a.Header.Get("Content-Type")) != "application/problem+json" || string(a.Header.Get("Retry-After")) != "2" {
		t.Errorf("header: %s %s", a.Header.Get("Content-Type"), a.Header.Get("Retry-After"))
	}
}

// google.api.HttpBody passes bytes as they are, both ways.
func TestHTTPBody(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	if a := ask(t, h, "GET /v1/files/png/a", ""); a.Body != "\x00\xff\x01" || string(a.Header.Get("Content-Type")) != "text/x-png/a" {
		t.Errorf("download: %q %s %v", a.Body, a.Header.Get("Content-Type"), a.Err)
	}
	a := ask(t, h, "PUT /v1/files/x/y.png", "\x89PNG", "Content-Type: image/png")
	var got struct{ Data []byte }
	json.Unmarshal([]byte(a.Body), &got)
	var req map[string]any
	json.Unmarshal(got.Data, &req)
	if want := map[string]any{"path": "x/y.png", "file": map[string]any{"contentType": "image/png", "data": "iVBORw=="}}; !reflect.DeepEqual(req, want) {
		t.Errorf("upload: %v %v %v", req, a.Err, a.Body)
	}
}

// One method on a route of its own.
func TestCall(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{Call: "shop.v1.Catalog/GetProduct", Params: []string{"id"}})
	x := request("GET /products/tea%2001", "")
	x.Request.Params = []exchange.Param{{Name: "id", Value: []byte("tea%2001")}}
	if err := h.Serve(x); err != nil {
		t.Fatal(err)
	}
	if b, _ := exchange.ReadAll(x.Response.Body, 1<<20); !strings.Contains(string(b), `"id":"tea 01"`) {
		t.Errorf("%s", b)
	}
	x.Done()
	h = s.handler(Options{Call: "shop.v1.Mirror/Plain", Body: "sub", Response: "question", JSON: JSONOptions{Defaults: true, ProtoNames: true, EnumNumbers: true}})
	if a := ask(t, h, "POST /x?flag=true", `{"text":"a"}`); !strings.Contains(a.Body, `"color":0,"flag":true`) || !strings.Contains(a.Body, `"sub":{"text":"a","number":0}`) {
		t.Errorf("%s %v", a.Body, a.Err)
	}
	for call, want := range map[string]string{
		"shop.v1.Catalog/Nope":       `the service shop.v1.Catalog has no method Nope; there are GetProduct, ListProducts, ImportProducts, Price, Fail, FailLate, Download, Upload, …`,
		"shop.v2.Catalog/Nope":       `there is no service shop.v2.Catalog; there are shop.v1.Catalog, shop.v1.Mirror`,
		"shop.v1.Catalog/GetProduct": `shop.v1.GetProductRequest has no field sku`,
	} {
		if _, err := s.handler(Options{Call: call, Params: []string{"sku"}}).Check(); err == nil || err.Error() != want {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// A service that is away, or none of gRPC.
func TestNoService(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{Source: &Source{}})
	if a := ask(t, h, "GET /v1/products/1", ""); a.Err == nil || a.Err.Code != "grpc_schema_unavailable" || a.Status != 503 {
		t.Errorf("%+v", a.Err)
	}
	web := New(Options{Source: Fixed(s.schema), Name: "web", Service: exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Response.Status, x.Response.Body = 200, exchange.BytesBody([]byte("<html>"))
		x.Response.Header.Add("content-type", "text/html")
		return nil
	})})
	if a := ask(t, web, "GET /v1/products/1", ""); a.Err == nil || a.Err.Code != "grpc_malformed" || a.Status != 502 {
		t.Errorf("%+v", a.Err)
	}
	x := request("GET /v1/slow", "")
	x.Deadline = time.Now().Add(50 * time.Millisecond)
	err := s.handler(Options{}).Serve(x)
	if status := x.Response.Status; err == nil && status != 504 || err != nil && exchange.AsError(err).Status != 504 {
		t.Errorf("late: %d %v", status, err)
	}
	x.Done()
}
