package certs

import (
	"crypto/tls"

	"gopura/config"
)

// intermediate are the cipher suites of TLS 1.2 that Mozilla's profile of that
// name lists, as far as Go has them: forward secret and authenticated ones
// only. Go orders them by what both sides do fast. TLS 1.3 has its own.
var intermediate = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// curves are the key exchanges of both profiles.
var curves = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}

// minVersion is the oldest version that a listener takes.
func minVersion(c *config.TLS) uint16 {
	if c.Profile == "modern" || c.MinVersion == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
