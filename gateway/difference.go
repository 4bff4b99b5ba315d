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
		func(c *Change, a, b *config.Service) {
			var before []config.Policy
			if a != nil {
				before = a.Policies
			}
			d.policies(c, before, b.Policies)
		})
	compareNamed(d, "route", doc.Routes, next.Routes, func(r *config.Route) (string, config.Pos) { return r.Name, r.Pos },
		func(c *Change, a, b *config.Route) {
			var before []config.Policy
			if a != nil {
				before = PoliciesOf(doc, a)
			}
			d.policies(c, before, PoliciesOf(next, b))
		})
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
		name, pos := id(&after[i])
		if find(before, name) != nil {
			continue
		}
		c := Change{Kind: added, What: fmt.Sprintf("%s %q", kind, name), Origin: pos.String()}
		for _, f := range config.Stated(after[i]) {
			if told(kind, f.Path, more != nil) {
				c.Details = append(c.Details, d.shown(f))
			}
		}
		if more != nil {
			more(&c, nil, &after[i])
		}
		d.list = append(d.list, c)
	}
}

// told reports whether a setting of something new is told with it: its name is
// told already, and policies are told as they hold.
func told(kind, path string, policies bool) bool {
	switch {
	case path == "name" || kind == "route" && strings.HasPrefix(path, "match."):
		return false
	case policies && (strings.HasPrefix(path, "policies") || path == "use"):
		return false
	}
	return true
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
		var was, is any
		if a != nil {
			was = a.Spec
		}
		if b != nil {
			is = b.Spec
		} else if slices.Contains(protections, k.Name) {
			c.Alarms = append(c.Alarms, "loses "+k.Name)
		}
		for _, f := range config.Compare(was, is) {
			if a != nil && f.New == "shadow" && (f.Path == "mode" || strings.HasSuffix(f.Path, "].mode")) {
				c.Alarms = append(c.Alarms, k.Name+" no longer refuses: mode shadow")
				continue
			}
			f.Path = under(k.Name, f.Path)
			c.Details = append(c.Details, d.shown(f))
		}
	}
}

// under is the path of a setting of a policy: limit.burst, limit[1].burst.
func under(policy, path string) string {
	if path == "" || path[0] == '[' {
		return policy + path
	}
	return policy + "." + path
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
		pos, there := d.after.Pos[key]
		if !there {
			pos = d.before.Pos[key]
		}
		if last := len(d.list) - 1; last >= 0 && d.list[last].What == "setting "+key {
			d.list[last].Details = append(d.list[last].Details, d.shown(f))
			continue
		}
		d.list = append(d.list, Change{Kind: changed, What: "setting " + key, Origin: pos.String(), Details: []config.Difference{d.shown(f)}})
	}
}

// maxTold is how much of a value is told.
const maxTold = 400

// shown hides what must not be shown.
func (d *differences) shown(f config.Difference) config.Difference {
	f.Path = strings.TrimPrefix(f.Path, "spec.")
	secret := slices.ContainsFunc(strings.Split(f.Path, "."), telemetry.Secret)
	hide := func(text string) string {
		if text != "" && secret {
			return maskedValue
		}
		if text = d.after.Redact(d.before.Redact(text)); strings.Contains(text, "://") {
			text = telemetry.Masked([]byte(text))
		}
		if r := []rune(text); len(r) > maxTold {
			text = string(r[:maxTold]) + "…"
		}
		return text
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
