package admin

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"gopura/console"
)

// isConsole reports whether a request is for a file of the console.
func isConsole(r *http.Request) bool {
	return r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, console.Root) || r.URL.Path == strings.TrimSuffix(console.Root, "/")
}

// consoleFile serves the files of the console, or leads to them. They are no
// secret, so that they can ask for the token.
func (s *Server) consoleFile(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &refusal{http.StatusMethodNotAllowed, "method_not_allowed", "This path is not for that method."}
	}
	if !strings.HasPrefix(r.URL.EscapedPath(), console.Root) {
		http.Redirect(w, r, console.Root, http.StatusSeeOther)
		return nil
	}
	f := s.files.At(r.URL.EscapedPath())
	if f == nil {
		return &refusal{http.StatusNotFound, "not_found", "There is nothing at this path."}
	}
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Content-Security-Policy", console.CSP)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-cache") // kept, and asked for anew: another version may be here next
	h.Set("ETag", f.ETag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.Body))
	return nil
}

// navigates reports whether a request is a person going to a page: following
// a link from anywhere shows the login, and nothing else.
func navigates(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}
