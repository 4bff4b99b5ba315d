package config

// checkShared checks that what listeners keep in the store has one, and that
// it is not there for everybody to read.
func (d *Document) checkShared() {
	for i := range d.Listeners {
		t := d.Listeners[i].TLS
		if t == nil {
			continue
		}
		base := join("listen", d.Listeners[i].Name) + ".tls"
		if t.Tickets == "shared" {
			d.needStore(base + ".tickets")
		}
		if t.ACME != nil && t.ACME.Storage == "store" {
			d.needStore(base + ".acme.storage")
		}
	}
}

func (d *Document) needStore(path string) {
	p := Problem{Pos: d.places[path], Path: path}
	switch {
	case d.Store == nil:
		p.Message, p.Hint = "needs the top-level store", "store: { url: redis://host:6379/0, secret: ${env:STORE_SECRET} }"
	case d.Store.Secret.IsZero():
		p.Message, p.Hint = "keeps keys in the store, which needs a secret to encrypt them", "store: { …, secret: ${env:STORE_SECRET} }"
	default:
		return
	}
	d.Add(p)
}
