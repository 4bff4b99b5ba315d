package config

// TLS is how a listener proves who it is, and what it asks of clients.
type TLS struct {
	Pos          Pos           `yaml:"-"`
	SelfSigned   bool          `yaml:"self_signed" word:"self_signed" doc:"Make a certificate at start, for development."`
	Certificates []Certificate `yaml:"certificates" one:"true" doc:"Certificates from files. The one that fits the server name that the client asks for is presented; the first one is the default."`
	ACME         *ACME         `yaml:"acme" doc:"Get certificates from a certificate authority, and renew them."`
	StrictSNI    bool          `yaml:"strict_sni" doc:"Refuse clients that ask for a server name that no certificate covers, or for none, in place of presenting the default certificate."`
	Profile      string        `yaml:"profile" enum:"modern,intermediate" default:"intermediate" doc:"intermediate: TLS 1.2 and 1.3 with the cipher suites that Mozilla recommends; modern: TLS 1.3 only."`
	MinVersion   string        `yaml:"min_version" enum:"1.2,1.3" doc:"The oldest version of TLS that is accepted. Default: that of the profile."`
	Tickets      string        `yaml:"tickets" enum:"local,shared,off" default:"local" doc:"Who can resume a session: local: this process; shared: every replica, by keys that they share through the top-level store; off: nobody."`
	Client       *ClientCerts  `yaml:"client" doc:"Ask clients for a certificate (mTLS). Left out: don't ask."`
	HSTS         *HSTS         `yaml:"hsts" words:"off" doc:"Tell browsers to come over https only: Strict-Transport-Security on every answer."`
}

// Certificate names the PEM files of a certificate chain and its key.
type Certificate struct {
	Pos  Pos    `yaml:"-"`
	Cert string `yaml:"cert" required:"true" doc:"Path of the PEM file with the certificate and its chain."`
	Key  string `yaml:"key" required:"true" doc:"Path of the PEM file with the private key."`
}

// ACME is how certificates are got from a certificate authority (RFC 8555).
type ACME struct {
	Pos       Pos      `yaml:"-"`
	Domains   []string `yaml:"domains" one:"true" required:"true" doc:"The host names to get certificates for, one certificate each. No others are ever asked for."`
	Email     string   `yaml:"email" doc:"Where the authority may write to."`
	CA        string   `yaml:"ca" default:"letsencrypt" doc:"letsencrypt, letsencrypt-staging, or the URL of an ACME directory."`
	CARoot    string   `yaml:"ca_root" doc:"Path of a PEM file with the authorities to trust when speaking to the CA, in place of the system's."`
	Storage   string   `yaml:"storage" required:"true" doc:"Path of the folder for accounts, keys and certificates; it is made if it is not there, and must be nobody else's (0700). The word store: the top-level store, which replicas share (it needs a secret)."`
	Challenge []string `yaml:"challenge" one:"true" enum:"http-01,tls-alpn-01" default:"http-01,tls-alpn-01" doc:"How to prove the control of a name. http-01 needs a cleartext listener that is reached on port 80, tls-alpn-01 this listener on port 443."`
}

// ClientCerts is what a listener asks of the certificates of clients.
type ClientCerts struct {
	Pos  Pos    `yaml:"-"`
	CA   string `yaml:"ca" required:"true" doc:"Path of a PEM file with the authorities that certificates of clients must come from."`
	Mode string `yaml:"mode" enum:"required,optional,request" default:"required" doc:"required: no connection without a valid certificate; optional: none is fine, an invalid one is not; request: an invalid one is taken for none (tls.client.verified tells)."`
	CRL  string `yaml:"crl" doc:"Path of a file with revocation lists (PEM or DER). With it, a certificate is valid only while a current list of its issuer does not name it."`
}

// HSTS is what browsers are told about coming over https only (RFC 6797).
type HSTS struct {
	Pos        Pos      `yaml:"-"`
	MaxAge     Duration `yaml:"max_age" short:"true" required:"true" min:"1s" doc:"For how long, such as 1y."`
	Subdomains bool     `yaml:"subdomains" doc:"For the subdomains of the host too."`
	Preload    bool     `yaml:"preload" doc:"Agree that browsers may be shipped with this."`
}

// ToHTTPS is where a cleartext listener redirects to.
type ToHTTPS struct {
	Pos   Pos  `yaml:"-"`
	HTTPS bool `yaml:"-" word:"https"`
	Port  int  `yaml:"port" default:"443" min:"1" max:"65535" doc:"The port that clients reach the https listener on."`
}

// UpstreamTLS is how the targets of a service are verified, and what they are
// shown.
type UpstreamTLS struct {
	Pos        Pos      `yaml:"-"`
	CA         string   `yaml:"ca" doc:"Path of a PEM file with the authorities to trust in place of the system's."`
	ServerName string   `yaml:"server_name" doc:"The name to ask for and to verify. Default: the host of the target."`
	Names      []string `yaml:"names" one:"true" doc:"Names of which the certificate must carry one, in place of server_name."`
	Pins       []string `yaml:"pins" one:"true" doc:"SHA-256 hashes of public keys, base64: the chain of the certificate must hold one of them, besides being valid."`
	Cert       string   `yaml:"cert" doc:"Path of the PEM file with the certificate that is shown to the targets, and its chain."`
	Key        string   `yaml:"key" doc:"Path of the PEM file with its private key."`
	MinVersion string   `yaml:"min_version" enum:"1.2,1.3" default:"1.2" doc:"The oldest version of TLS that is accepted."`
	Insecure   bool     `yaml:"insecure" doc:"Verify nothing. For development."`
}
