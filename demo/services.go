package demo

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

//go:embed data.json
var dataJSON []byte

type data struct {
	Users    []user    `json:"users"`
	Products []product `json:"products"`
	Orders   []order   `json:"orders"`
	Reviews  []review  `json:"reviews"`
}

type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	City  string `json:"city"`
	Since string `json:"since"`
}

type money struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

type product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Price money  `json:"price"`
	Stock int    `json:"stock"`
}

type item struct {
	Product  string `json:"product"`
	Quantity int    `json:"quantity"`
}

type order struct {
	ID     string    `json:"id"`
	User   string    `json:"user"`
	Placed time.Time `json:"placed"`
	Status string    `json:"status"`
	Items  []item    `json:"items"`
	Total  *money    `json:"total,omitempty"`
}

type review struct {
	ID      string `json:"id"`
	User    string `json:"user"`
	Product string `json:"product"`
	Stars   int    `json:"stars"`
	Text    string `json:"text"`
}

func load() (*data, error) {
	d := new(data)
	return d, json.Unmarshal(dataJSON, d)
}

// signed says which service answered.
func signed(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", name)
		w.Header().Set("X-Powered-By", "sample")
		next.ServeHTTP(w, r)
	})
}

// flaky fails every third request, though never its health checks.
func flaky(next http.Handler) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%3 == 0 {
			reply(w, http.StatusServiceUnavailable, map[string]string{"error": "out of sorts"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func users(d *data) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, d.Users) })
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		one(w, d.Users, func(u user) bool { return u.ID == r.PathValue("id") })
	})
	return mux
}

func reviews(d *data) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /by-user/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, only(d.Reviews, func(v review) bool { return v.User == r.PathValue("id") }))
	})
	return mux
}

// echo says what it sees of a request.
func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]any{"method": r.Method, "host": r.Host, "path": r.URL.Path, "query": r.URL.RawQuery, "headers": r.Header})
	})
}

// orders keeps orders in memory, the sample ones and those that are placed.
type orders struct {
	mu   sync.Mutex
	list []order
	next int
}

const maxOrders = 1000

func newOrders(list []order) *orders { return &orders{list: slices.Clone(list), next: 2001} }

func (o *orders) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		want := r.URL.Query().Get("user")
		reply(w, http.StatusOK, only(o.all(), func(one order) bool { return want == "" || one.User == want }))
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		one(w, o.all(), func(one order) bool { return one.ID == r.PathValue("id") })
	})
	mux.HandleFunc("POST /orders", o.place)
	return mux
}

func (o *orders) all() []order {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.list)
}

func (o *orders) place(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User  string `json:"user"`
		Items []item `json:"items"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil || in.User == "" || len(in.Items) == 0 {
		reply(w, http.StatusBadRequest, map[string]string{"error": "an order has a user and items"})
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) >= maxOrders {
		reply(w, http.StatusInsufficientStorage, map[string]string{"error": "no more orders today"})
		return
	}
	placed := order{ID: strconv.Itoa(o.next), User: in.User, Placed: time.Now().UTC().Truncate(time.Second), Status: "open", Items: in.Items}
	o.next++
	o.list = append(o.list, placed)
	w.Header().Set("Location", "/orders/"+placed.ID)
	reply(w, http.StatusCreated, placed)
}

func only[T any](list []T, keep func(T) bool) []T {
	out := []T{}
	for _, v := range list {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

// one answers with the first that fits, or 404.
func one[T any](w http.ResponseWriter, list []T, fits func(T) bool) {
	if i := slices.IndexFunc(list, fits); i >= 0 {
		reply(w, http.StatusOK, list[i])
		return
	}
	reply(w, http.StatusNotFound, map[string]string{"error": "not found"})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v)
}
