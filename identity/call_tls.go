package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// CallTLS is whom a call over https trusts, and what it shows: paths of PEM
// files, all of them optional.
type CallTLS struct {
	CA   string // authorities, in place of the system's
	Cert string // certificate of our own, with its chain
	Key  string // and its private key
}

// PairError is what is wrong with the certificate that a call shows.
type PairError struct{ Err error }

func (e *PairError) Error() string { return e.Err.Error() }

func (e *PairError) Unwrap() error { return e.Err }

var errPair = errors.New("cert and key go together")

// Files are the files that are named, to be watched.
func (t CallTLS) Files() (list []string) {
	for _, f := range []string{t.CA, t.Cert, t.Key} {
		if f != "" {
			list = append(list, f)
		}
	}
	return list
}

// In returns the same with paths that start from a folder.
func (t CallTLS) In(dir string) CallTLS {
	return CallTLS{inDir(dir, t.CA), inDir(dir, t.Cert), inDir(dir, t.Key)}
}

// Config reads the files. The fingerprint is of their content: a call that was
// set up under another one is not to be used again. Errors name files, and
// nothing of what is in a key.
func (t CallTLS) Config() (conf *tls.Config, fingerprint string, err error) {
	conf = &tls.Config{MinVersion: tls.VersionTLS12}
	if t == (CallTLS{}) {
		return conf, "", nil
	}
	h := sha256.New()
	if t.CA != "" {
		pem, err := readCredentials(t.CA)
		if err != nil {
			return nil, "", err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "", fmt.Errorf("no certificate in %s", t.CA)
		}
		fmt.Fprintf(h, "ca %x\n", sha256.Sum256(pem))
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, "", &PairError{errPair}
	}
	if t.Cert != "" {
		pair, sum, err := t.pair()
		if err != nil {
			return nil, "", &PairError{err}
		}
		conf.Certificates = []tls.Certificate{pair}
		fmt.Fprintf(h, "pair %x\n", sum)
	}
	return conf, hex.EncodeToString(h.Sum(nil)), nil
}

func (t CallTLS) pair() (pair tls.Certificate, sum [32]byte, err error) {
	cert, err := readCredentials(t.Cert)
	if err != nil {
		return pair, sum, err
	}
	key, err := readCredentials(t.Key)
	if err != nil {
		return pair, sum, err
	}
	if pair, err = tls.X509KeyPair(cert, key); err != nil { // says nothing of what is in the key
		return pair, sum, fmt.Errorf("%s and %s: %w", t.Cert, t.Key, err)
	}
	return pair, sha256.Sum256(fmt.Appendf(nil, "%d\n%s%s", len(cert), cert, key)), nil
}

// callFault is the setting that is at fault, as near as can be said.
func callFault(err error) string {
	var p *PairError
	if errors.As(err, &p) {
		return "cert"
	}
	return "ca"
}
