package origin

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const maxSleep = time.Minute

// answer is what a request gets: bytes that are ready, or something to do first.
type answer struct {
	whole   []byte // head and body, shared by all requests; nil for the rest
	status  int
	sleep   time.Duration
	echo    bool // the body of the request
	headers bool // the head of the request
}

// fixedAnswers are those that only the path decides.
func fixedAnswers() map[string][]byte {
	answers := make(map[string][]byte)
	for path, size := range map[string]int{"/0": 0, "/1k": 1 << 10, "/10k": 10 << 10, "/100k": 100 << 10, "/1m": 1 << 20} {
		answers[path] = append(appendHead(nil, 200, size), bytes.Repeat([]byte("gopura.\n"), size/8)...)
	}
	answers["/1k.json"] = append(bytes.Replace(appendHead(nil, 200, len(document)), []byte("text/plain"), []byte("application/json"), 1), document...)
	return answers
}

// document is JSON as services answer with, of about 1 KB.
var document = func() string {
	const order = `{"id":"ord-%04d","placed":"2026-06-08T06:02:00Z","status":"shipped","total":{"amount":"14.50","currency":"EUR"},"items":[{"sku":"tea-02","quantity":1}]}`
	doc := `{"id":9007199254740993,"name":"Asha Raman","email":"asha@example.com","active":true,"score":4.75,"address":{"street":"12 North Veli Street","city":"Madurai","zip":"625001","country":"IN"},"orders":[`
	for i := range 5 {
		if i > 0 {
			doc += ","
		}
		doc += fmt.Sprintf(order, 1001+i)
	}
	return doc + `],"next":null}`
}()

// find chooses by path, without its query, skipping leading segments that it doesn't know.
func (s *Server) find(path []byte) answer {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	for len(path) > 0 {
		if whole, ok := s.answers[string(path)]; ok {
			return answer{whole: whole, status: 200}
		}
		if a, ok := computed(path); ok {
			return a
		}
		next := bytes.IndexByte(path[1:], '/')
		if next < 0 {
			break
		}
		path = path[1+next:]
	}
	return answer{status: 404}
}

// computed are the answers that carry a number in the path or depend on the request.
func computed(path []byte) (answer, bool) {
	if rest, ok := bytes.CutPrefix(path, []byte("/sleep/")); ok {
		d, err := time.ParseDuration(string(rest))
		return answer{status: 200, sleep: min(d, maxSleep)}, err == nil
	}
	if rest, ok := bytes.CutPrefix(path, []byte("/status/")); ok {
		n, err := strconv.Atoi(string(rest))
		return answer{status: n}, err == nil && n >= 200 && n <= 599
	}
	switch string(path) {
	case "/echo":
		return answer{status: 200, echo: true}, true
	case "/headers":
		return answer{status: 200, headers: true}, true
	}
	return answer{}, false
}

// appendHead writes the head of an answer with a body of size bytes.
func appendHead(dst []byte, status, size int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	dst = append(dst, "\r\nContent-Type: text/plain\r\nX-Origin: gopura\r\n"...)
	if status != http.StatusNoContent && status != http.StatusNotModified { // RFC 9110 §8.6: a 204 has no Content-Length
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(size), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}
