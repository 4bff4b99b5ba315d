package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// methods are the handlers of a path. A handler of GET serves HEAD too.
type methods map[string]handler

// handler answers a request, or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// refusal is a request that is not served, as the client is told.
type refusal struct {
	status int
	code   string
	detail string
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

// serve is the way of every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, l *listener, g *guard) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit(r.URL.Path))
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			s.log.Error("panic in the admin API", "panic", p, "path", r.URL.Path, "stack", string(debug.Stack()))
			refuse(w, &refusal{http.StatusInternalServerError, "internal", "The request failed; the log says why."})
		}
	}()
	if no := g.check(r); no != nil {
		s.log.Warn("admin request refused", "code", no.code, "peer", r.RemoteAddr, "host", r.Host, "method", r.Method, "path", r.URL.Path)
		refuse(w, no)
		return
	}
	handle, err := handler(s.consoleFile), error(nil)
	if !g.console || !isConsole(r) {
		handle, err = s.find(r, h)
	}
	if err == nil {
		err = handle(w, by(r, l, g))
	}
	if err != nil {
		refuse(w, err)
		return
	}
	if changes(r) {
		s.log.Info("admin request", "peer", r.RemoteAddr, "method", r.Method, "path", r.URL.Path)
	}
}

// find returns the handler of a request. Paths match byte by byte: nothing is
// cleaned, decoded or redirected on the way.
func (s *Server) find(r *http.Request, h http.Header) (handler, error) {
	path := r.URL.EscapedPath()
	m, ok := s.paths[path]
	if !ok {
		m, ok = s.servicePath(path)
	}
	if !ok {
		m, ok = s.limitPath(path)
	}
	if !ok {
		m, ok = s.historyPath(path)
	}
	if !ok {
		m, ok = s.explanationPath(path)
	}
	if !ok {
		return nil, &refusal{http.StatusNotFound, "not_found", "There is nothing at this path."}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if f := m[method]; f != nil {
		return f, nil
	}
	var allowed []string
	for name := range m {
		allowed = append(allowed, name)
		if name == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	h.Set("Allow", strings.Join(allowed, ", "))
	return nil, &refusal{http.StatusMethodNotAllowed, "method_not_allowed", "This path is not for that method."}
}

// refuse answers with RFC 9457 problem details.
func refuse(w http.ResponseWriter, err error) {
	var no *refusal
	if !errors.As(err, &no) {
		no = &refusal{http.StatusInternalServerError, "internal", err.Error()}
	}
	writeProblem(w, no, nil)
}

// writeProblem writes a refusal; problems are those of a configuration.
func writeProblem(w http.ResponseWriter, no *refusal, problems []problem) {
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gopura admin"`)
	}
	title := strings.ReplaceAll(no.code, "_", " ")
	write(w, no.status, "application/problem+json", struct {
		Type     string    `json:"type"`
		Title    string    `json:"title"`
		Status   int       `json:"status"`
		Code     string    `json:"code"`
		Detail   string    `json:"detail"`
		Problems []problem `json:"problems,omitempty"`
	}{"about:blank", strings.ToUpper(title[:1]) + title[1:], no.status, no.code, no.detail, problems})
}

// reply answers with a value.
func reply(w http.ResponseWriter, v any) error {
	write(w, http.StatusOK, "application/json", v)
	return nil
}

// replyCompact is reply for what is large and read by programs.
func replyCompact(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
	return nil
}

func write(w http.ResponseWriter, status int, kind string, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, kind, body = http.StatusInternalServerError, "text/plain; charset=utf-8", []byte(err.Error())
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// read decodes the body of a request: one JSON object, nothing unknown in it.
func read(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "json_required", "The body must be application/json."}
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("something follows the JSON value")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &refusal{http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("The body is larger than %d KiB.", large.Limit>>10)}
	}
	return &refusal{http.StatusBadRequest, "bad_body", "The body is not what is expected: " + strings.TrimPrefix(err.Error(), "json: ") + "."}
}
