package config

import "strings"

// off is the word that switches a policy off which would hold otherwise.
const off = "off"

// checkOff checks that what is switched off has something behind it, and that
// the word keeps that one meaning.
func (d *Document) checkOff() {
	for _, p := range d.Defaults {
		if p.Off {
			d.Add(Problem{Pos: p.Pos, Path: join("defaults", p.Name), Message: "there is nothing behind the defaults to switch off", Hint: "leave it out"})
		}
	}
	for i := range d.Services {
		for _, p := range d.Services[i].Policies {
			if p.Off {
				d.Add(Problem{Pos: p.Pos, Path: join(join("services", d.Services[i].Name), p.Name), Message: "a service has no defaults to switch off", Hint: "leave it out"})
			}
		}
	}
	for i := range d.Identities {
		if b := &d.Identities[i]; strings.EqualFold(b.Name, off) {
			d.Add(Problem{Pos: b.Pos, Path: join("identity", b.Name), Message: "off is no name for a source of identity", Hint: "identity: off on a route switches the default off"})
		}
	}
}
