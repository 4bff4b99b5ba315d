package config

import (
	"net/url"
	"strings"
)

// Store is where limits are kept that several replicas share, and the keys and
// certificates that they are told to share.
type Store struct {
	Pos              Pos          `yaml:"-"`
	URL              string       `yaml:"url" short:"true" doc:"redis://host:6379/0, rediss:// for TLS, unix:///path of a socket."`
	Addresses        []string     `yaml:"addresses" one:"true" doc:"In place of url: host:port of the server, of several nodes of a cluster, or of sentinels."`
	Sentinel         string       `yaml:"sentinel" doc:"The name of the master that the sentinels watch: the addresses are theirs."`
	Cluster          bool         `yaml:"cluster" doc:"The addresses are of a cluster."`
	Database         int          `yaml:"database" min:"0" doc:"The number of the database."`
	Username         string       `yaml:"username" doc:"Whom to log in as."`
	Password         Secret       `yaml:"password" doc:"The password of that user."`
	SentinelUsername string       `yaml:"sentinel_username" doc:"Whom to log in as at the sentinels, which have users of their own."`
	SentinelPassword Secret       `yaml:"sentinel_password" doc:"The password of that user."`
	TLS              *UpstreamTLS `yaml:"tls" doc:"Use TLS, and how the server is verified."`
	Timeout          Duration     `yaml:"timeout" default:"20ms" min:"1ms" max:"1s" doc:"How long a decision in exact mode may wait for the store."`
	Mode             string       `yaml:"mode" enum:"leased,exact" default:"leased" doc:"leased: each replica takes shares in advance, and no request waits; exact: the store decides about each request."`
	OnFailure        string       `yaml:"on_failure" enum:"local,allow,refuse" default:"local" doc:"While the store can't be asked: each replica limits for itself, lets all pass, or refuses all with 503 (limit_unavailable)."`
	Clock            string       `yaml:"clock" enum:"server,replica" default:"server" doc:"Whose time holds: the server's, or the replica's own, for servers that know no TIME within scripts. Then the clocks of the replicas must agree."`
	Prefix           string       `yaml:"prefix" default:"gopura" doc:"What the keys in the store begin with."`
	Secret           Secret       `yaml:"secret" doc:"At least 32 characters, the same for all replicas: what private keys and session ticket keys are encrypted with in the store. Needed by acme.storage: store and tickets: shared."`
}

// Check is the rule of a store: an address, said once.
func (s *Store) Check(at *At) {
	switch {
	case s.URL == "" && len(s.Addresses) == 0:
		at.Hint("store: redis://host:6379/0", "", "has no address: url or addresses is needed")
	case s.URL != "" && len(s.Addresses) > 0:
		at.Problem("addresses", "either url or addresses, not both")
	case s.Sentinel == "" && (s.SentinelUsername != "" || !s.SentinelPassword.IsZero()) && !strings.Contains(s.URL, "master_set="):
		at.Problem("sentinel_username", "there are no sentinels: sentinel names what they watch")
	case s.Sentinel != "" && s.Cluster:
		at.Problem("cluster", "either sentinels or a cluster, not both")
	case s.URL != "" && !strings.HasPrefix(s.URL, "redis://") && !strings.HasPrefix(s.URL, "rediss://") && !strings.HasPrefix(s.URL, "unix://"):
		at.Hint("redis://host:6379/0", "url", "not the URL of a store")
	}
	if !s.Secret.IsZero() && len(s.Secret.Reveal()) < 32 {
		at.Hint("openssl rand -base64 32", "secret", "a secret has at least 32 characters")
	}
	if u, err := url.Parse(s.URL); err == nil && u.User != nil && !at.secret("url") {
		if password, ok := u.User.Password(); ok {
			at.d.problems.secrets.learnLiteral(password)
			at.Warn("url", "a secret stands in the file")
		}
	}
}
