package gateway

import (
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/policy"
	"gopura/telemetry"
)

// Change is one thing that a new configuration does differently.
type Change struct {
	Kind    string              `json:"kind"` // added, removed, changed
	What    string              `json:"what"` // route "GET /users/{id}", service "users", setting timeouts
	Origin  string              `json:"origin,omitempty"`
	Alarms  []string            `json:"alarms,omitempty"` // protection that is lost
	Details []config.Difference `json:"details,omitempty"`
}

// The kinds of change.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// String returns the change in a line.
func (c Change) String() string {
	s := c.Kind + " " + c.What
	if len(c.Alarms) > 0 {
		s += ": " + strings.Join(c.Alarms, ", ")
	}
	return s
}

// protections are the policies whose loss is an alarm.
var protections = []string{"identity", "allow", "scopes", "roles", "opa", "ip", "csrf", "limit", "quota", "concurrency", "max_body", "validate", "methods", "content_types", "cors"}

// Differences lists what next does differently from doc, in the order of the
// parts of a document. Order, comments and places don't count: routes, services
// and listeners are found by their names, and the policies of a route are those
// that hold for it, wherever they stand.
func Differences(doc, next *config.Document) []Change {
	d := &differences{before: doc, after: next}
	compareNamed(d, "listener", doc.Listeners, next.Listeners, func(l *config.Listener) (string, config.Pos) { return l.Name, l.Pos }, nil)
	compareNamed(d, "identity", doc.Identities, next.Identities, func(b *config.IdentityBlock) (string, config.Pos) { return b.Name, b.Pos }, nil)
	compareNamed(d, "service", doc.Services, next.Services, func(s *config.Service) (string, config.Pos) { return s.Name, s.Pos },
		func(c *Change, a, b *config.Service) { d.policies(c, a.Policies, b.Policies) })
	compareNamed(d, "route", doc.Routes, next.Routes, func(r *config.Route) (string, config.Pos) { return r.Name, r.Pos },
		func(c *Change, a, b *config.Route) { d.policies(c, PoliciesOf(doc, a), PoliciesOf(next, b)) })
	d.settings()
	return d.list
}

type differences struct {
	before, after *config.Document
	list          []Change
}

// compareNamed compares a part of the document whose items have names.
func compareNamed[T any](d *differences, kind string, before, after []T, id func(*T) (string, config.Pos), more func(*Change, *T, *T)) {
	find := func(list []T, name string) *T {
		for i := range list {
			if n, _ := id(&list[i]); n == name {
				return &list[i]
			}
		}
		return nil
	}
	for i := range before {
		name, pos := id(&before[i])
		b := find(after, name)
		if b == nil {
			d.list = append(d.list, Change{Kind: removed, What: fmt.Sprintf("%s %q", kind, name), Origin: pos.String()})
			continue
		}
		_, pos = id(b)
		c := Change{Kind: changed, What: fmt.Sprintf("%s %q", kind, name), Origin: pos.String()}
		for _, f := range config.Compare(before[i], *b) {
			if path := f.Path; more == nil || !strings.HasPrefix(path, "policies") && path != "use" {
				c.Details = append(c.Details, d.shown(f))
			}
		}
		if more != nil {
			more(&c, &before[i], b)
		}
		if len(c.Details)+len(c.Alarms) > 0 {
			d.list = append(d.list, c)
		}
	}
	for i := range after {
		if name, pos := id(&after[i]); find(before, name) == nil {
			d.list = append(d.list, Change{Kind: added, What: fmt.Sprintf("%s %q", kind, name), Origin: pos.String()})
		}
	}
}

// policies compares the policies that hold before and after.
func (d *differences) policies(c *Change, before, after []config.Policy) {
	find := func(list []config.Policy, name string) *config.Policy {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
		return nil
	}
	for _, k := range policy.Kinds {
		a, b := find(before, k.Name), find(after, k.Name)
		if a == nil && b == nil {
			continue
		}
		protects := slices.Contains(protections, k.Name)
		switch {
		case b == nil && protects:
			c.Alarms = append(c.Alarms, "loses "+k.Name)
		case b == nil:
			c.Details = append(c.Details, config.Difference{Path: k.Name, Old: "on"})
		case a == nil:
			c.Details = append(c.Details, config.Difference{Path: k.Name, New: "on"})
		default:
			for _, f := range config.Compare(a.Spec, b.Spec) {
				if f.Path == "mode" && f.New == "shadow" {
					c.Alarms = append(c.Alarms, k.Name+" no longer refuses: mode shadow")
					continue
				}
				if f.Path = k.Name + "." + f.Path; f.Path[len(k.Name)+1:] == "" || f.Path[len(k.Name)+1] == '[' {
					f.Path = k.Name + f.Path[len(k.Name)+1:]
				}
				c.Details = append(c.Details, d.shown(f))
			}
		}
	}
}

// settings compares everything else.
func (d *differences) settings() {
	a, b := *d.before, *d.after
	for _, doc := range []*config.Document{&a, &b} {
		doc.Listeners, doc.Identities, doc.Services, doc.Routes, doc.Tests = nil, nil, nil, nil, nil
		doc.Policies, doc.Defaults, doc.Pos, doc.Referred = nil, nil, nil, nil // policies count where they hold
	}
	for _, f := range config.Compare(a, b) {
		key, _, _ := strings.Cut(f.Path, ".")
		d.list = append(d.list, Change{Kind: changed, What: "setting " + key, Origin: d.after.Pos[key].String(), Details: []config.Difference{d.shown(f)}})
	}
}

// shown hides what must not be shown.
func (d *differences) shown(f config.Difference) config.Difference {
	f.Path = strings.TrimPrefix(f.Path, "spec.")
	secret := slices.ContainsFunc(strings.Split(f.Path, "."), telemetry.Secret)
	hide := func(text string) string {
		if text != "" && secret {
			return maskedValue
		}
		return d.after.Redact(d.before.Redact(text))
	}
	f.Old, f.New = hide(f.Old), hide(f.New)
	return f
}

// maxLogged is how many changes the log names one by one.
const maxLogged = 50

// logChanges says what the configuration that comes into force does differently.
func (g *Gateway) logChanges(before, after *config.Document) []Change {
	list := Differences(before, after)
	for i, c := range list {
		if i == maxLogged {
			g.log.Info("configuration change", "more", len(list)-i)
			break
		}
		if len(c.Alarms) > 0 {
			g.log.Warn("configuration change", "kind", c.Kind, "what", c.What, "alarm", strings.Join(c.Alarms, ", "), "at", c.Origin)
		} else {
			g.log.Info("configuration change", "kind", c.Kind, "what", c.What, "at", c.Origin)
		}
	}
	return list
}
