package gateway

import (
	"testing"
	"time"

	"gopura/config"
	"gopura/store"
)

// What a store's configuration says reaches the client of Redis.
func TestStoreOptions(t *testing.T) {
	t.Setenv("GATEWAY_PASSWORD", "for redis")
	t.Setenv("WATCHER_PASSWORD", "for sentinels")
	d, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(`
listen: :8080
store:
  addresses: ["10.0.0.1:26379", "10.0.0.2:26379"]
  sentinel: main
  username: gateway
  password: ${env:GATEWAY_PASSWORD}
  sentinel_username: watcher
  sentinel_password: ${env:WATCHER_PASSWORD}
  database: 3
  timeout: 30ms
  clock: replica
  mode: exact
  on_failure: refuse
  prefix: shop
services: { o: http://127.0.0.1:1 }
routes: [{ match: /*, to: o }]
`)}}, ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	o, err := redisOptions(d.Store)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Addresses) != 2 || o.Sentinel != "main" || o.Username != "gateway" || o.Password != "for redis" ||
		o.SentinelUsername != "watcher" || o.SentinelPassword != "for sentinels" || o.DB != 3 || o.Timeout != 30*time.Millisecond ||
		!o.ClientTime || o.Mode != store.Exact || o.OnFailure != store.Refuse || o.Prefix != "shop" {
		t.Error("something of the store was lost on the way")
	}
	if _, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(`
listen: :8080
store: { url: "redis://127.0.0.1", sentinel_username: watcher }
services: { o: http://127.0.0.1:1 }
routes: [{ match: /*, to: o }]
`)}}, ConfigOptions()); err == nil {
		t.Error("a user for sentinels that are not there is taken")
	}
}
