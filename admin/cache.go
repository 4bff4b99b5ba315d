package admin

import "net/http"

// cache shows what the cache policies keep.
func (s *Server) cache(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, s.gateway.Caches())
}

// purgeCache forgets the answers of a URL, or of all that begin with one.
func (s *Server) purgeCache(w http.ResponseWriter, r *http.Request) error {
	var want struct {
		URL string `json:"url"` // https://host/path?query; * at its end: all that begin so
	}
	if err := read(r, &want); err != nil {
		return err
	}
	n, err := s.gateway.PurgeCache(want.URL)
	if err != nil {
		return &refusal{http.StatusBadRequest, "bad_url", "The url is like https://host/path, https://host/path* or *."}
	}
	return reply(w, struct {
		Purged int `json:"purged"`
	}{n})
}
