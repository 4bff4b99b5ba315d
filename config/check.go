package config

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
)

// check applies the rules that need more than one part of the document. Rules
// of one part alone stand in its Check method.
func (d *Document) check() {
	d.checkListeners()
	d.checkACME()
	d.checkShared()
	d.checkOff()
	used := d.checkRoutes()
	sure := !d.problems.failed() // what is wrong elsewhere may be the use of something
	for i := range d.Services {
		s := &d.Services[i]
		d.checkName(s.Pos, join("services", s.Name), "service", s.Name)
		if sure && !used[s.Name] {
			d.Warn(s.Pos, join("services", s.Name), "no route sends to this service")
		}
	}
	for i := range d.Identities {
		b := &d.Identities[i]
		d.checkName(b.Pos, join("identity", b.Name), "source of identity", b.Name)
	}
	d.checkUses(sure)
}

// namePattern is what a listener, service or block may be called: names appear
// in logs, metrics, addresses of the admin API and short forms.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

func (d *Document) checkName(pos Pos, path, what, name string) {
	if !namePattern.MatchString(name) {
		d.Add(Problem{Pos: pos, Path: path, Message: fmt.Sprintf("%s is no name for a %s", quote(name), what), Hint: "letters, digits, _, - and . only"})
	}
}

// repeated yields the indices of the texts that stand in the list before.
func repeated[T any](list []T, text func(*T) string) iter.Seq[int] {
	return func(yield func(int) bool) {
		seen := make(map[string]bool, len(list))
		for i := range list {
			t := text(&list[i])
			if seen[t] && !yield(i) {
				return
			}
			seen[t] = true
		}
	}
}

func itself(text *string) string { return *text }

func (d *Document) checkListeners() {
	seen := make(map[string]string)
	for i := range d.Listeners {
		l := &d.Listeners[i]
		path := join("listen", l.Name)
		d.checkName(l.Pos, path, "listener", l.Name)
		if before, twice := seen[l.Address]; twice && !ephemeral(l.Address) {
			d.Problem(Pos{}, path+".address", "the listener %s has this address already", quote(before))
		}
		seen[l.Address] = l.Name
		if len(l.Proxies) > 0 && slices.Contains(l.HTTP, "3") {
			d.Warn(Pos{}, path+".proxy_protocol", "it is for TCP: over HTTP/3 clients are known by the address that their packets come from")
		}
	}
	if d.Admin == nil {
		return
	}
	if before, twice := seen[d.Admin.Address]; twice && !ephemeral(d.Admin.Address) {
		d.Problem(Pos{}, "admin.address", "the listener %s has this address already", quote(before))
	}
}

// checkRoutes checks and completes the names of the routes, and returns the
// services that they send to.
func (d *Document) checkRoutes() (used map[string]bool) {
	services := make(map[string]bool, len(d.Services))
	for i := range d.Services {
		services[d.Services[i].Name] = true
	}
	used = make(map[string]bool, len(services))
	for i := range d.Routes {
		r := &d.Routes[i]
		path := "routes[" + strconv.Itoa(i) + "]"
		for j := range r.To {
			s := &r.To[j]
			used[s.Service] = true
			if s.Service == "" || services[s.Service] {
				continue
			}
			d.dangling(path+".to["+strconv.Itoa(j)+"].service", "service", s.Service, d.serviceNames())
		}
		for j, name := range r.Reflection {
			if used[name] = true; !services[name] {
				d.dangling(path+".reflection["+strconv.Itoa(j)+"]", "service", name, d.serviceNames())
			}
		}
		d.checkCalls(r, path, services, used)
	}
	d.nameRoutes()
	return used
}

// dangling complains about the name of something that is not there.
func (d *Document) dangling(path, what, name string, known []string) {
	pos, path := around(d.places, path)
	hint := suggest(name, known)
	if d.problems.secrets.redact(name) != name {
		hint = "" // what is near says too much
	}
	d.Add(Problem{Pos: pos, Path: path, Message: "there is no " + what + " " + quote(name), Hint: hint})
}

func (d *Document) serviceNames() (names []string) {
	for i := range d.Services {
		names = append(names, d.Services[i].Name)
	}
	return names
}

// nameRoutes gives the routes without a name the text of their match, and tells
// equal ones apart: "/x", "/x#2".
func (d *Document) nameRoutes() {
	first := make(map[string]Pos, len(d.Routes))
	for i := range d.Routes {
		r := &d.Routes[i]
		if r.Name == "" {
			continue
		}
		if before, twice := first[r.Name]; twice {
			d.Problem(Pos{}, "routes["+strconv.Itoa(i)+"].name", "the route at %v is called %s already", before, quote(r.Name))
		} else {
			first[r.Name] = r.Pos
		}
	}
	count := make(map[string]int)
	for i := range d.Routes {
		r := &d.Routes[i]
		if r.Name != "" {
			continue
		}
		for {
			name := r.Match.Text
			if count[r.Match.Text]++; count[r.Match.Text] > 1 {
				name += "#" + strconv.Itoa(count[r.Match.Text])
			}
			if _, taken := first[name]; !taken {
				r.Name, first[name] = name, r.Pos
				break
			}
		}
	}
}

// checkUses checks the references to blocks of policies; sure says that no
// reference can have been missed.
func (d *Document) checkUses(sure bool) {
	blocks := make(map[string]bool, len(d.Policies))
	var names []string
	for i := range d.Policies {
		b := &d.Policies[i]
		blocks[b.Name] = true
		names = append(names, b.Name)
		d.checkName(b.Pos, join("policies", b.Name), "block of policies", b.Name)
	}
	used := make(map[string]bool, len(blocks))
	for i := range d.Routes {
		for j, name := range d.Routes[i].Use {
			used[name] = true
			if name == "" || blocks[name] {
				continue
			}
			d.dangling(fmt.Sprintf("routes[%d].use[%d]", i, j), "block of policies", name, names)
		}
	}
	for i := range d.Policies {
		if b := &d.Policies[i]; sure && !used[b.Name] {
			d.Warn(b.Pos, join("policies", b.Name), "no route uses this block of policies")
		}
	}
}
