package importer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

// kongConsumer is who may call, with the names that an identity of it has: its
// own by a key or a token, those of its credentials by a password.
type kongConsumer struct {
	tree   *config.Tree
	name   string
	groups []string
	users  []string
}

func (k *kong) readConsumers() {
	for _, c := range k.tree.List("consumers") {
		one := kongConsumer{tree: c, name: cmp.Or(c.String("username"), c.String("custom_id"), c.String("id"))}
		for _, g := range k.credentials(one, "acls") {
			one.groups = append(one.groups, g.String("group"))
		}
		k.consumers = append(k.consumers, one)
		for _, p := range c.List("plugins") {
			k.lose(nil, Lost, p.Pos, "plugin "+p.String("name")+" of consumer "+one.name, "policies are of routes", "a limit takes plans: by and plans")
		}
	}
}

// credentials are a consumer's own, and those of the top level that name it.
func (k *kong) credentials(c kongConsumer, keys ...string) (list []*config.Tree) {
	for _, key := range keys {
		list = append(list, c.tree.List(key)...)
		for _, t := range k.tree.List(key) {
			if owner := refName(t.Get("consumer")); owner != "" && (owner == c.name || owner == c.tree.String("id")) {
				list = append(list, t)
			}
		}
	}
	return list
}

// identify adds sources to the route's identity.
func (k *kong) identify(b *block, p, c *config.Tree, sources ...string) {
	id := b.sub("identity")
	if id.has("accept") && c.String("anonymous") == "" {
		k.shut(b, p.Pos, "plugin "+p.String("name"), "Kong wants the credentials of all its plugins, where nobody may be anonymous; here one of them is enough", "say by which one")
	}
	for _, s := range sources {
		id.push("accept", s)
	}
	if c.String("anonymous") != "" {
		if !k.identity.has("anonymous") {
			k.identity.set("anonymous", "anonymous")
		}
		id.push("accept", "anonymous")
	}
	id.set("forward", mapOf("X-Consumer-Username", "sub"))
}

func (k *kong) keyAuth(b *block, p, c *config.Tree, _ string) {
	names := c.Strings("key_names")
	if names == nil {
		names = []string{"apikey"}
	}
	file := "kong-keys.yaml"
	if k.files[file] == nil && !k.writeKeys(file) {
		k.shut(b, p.Pos, "plugin key-auth", "no consumer in this file has a key", "gopura key new makes keys: see identity/api-keys")
		return
	}
	var sources []string
	for _, name := range names {
		id := strings.Join([]string{name, c.String("hide_credentials"), c.String("key_in_query")}, " ")
		if k.sources["key "+id] == nil {
			s := mapOf("file", file, "header", name)
			if c.Bool(true, "key_in_query") {
				s.set("query", name)
			}
			if !c.Bool(false, "hide_credentials") {
				s.set("forward", true)
			}
			own := k.unique("identity", slug("keys-"+name, "keys"))
			k.identity.set(own, mapOf("api_key", s))
			k.sources["key "+id] = []string{own}
		}
		sources = append(sources, k.sources["key "+id]...)
	}
	if c.Bool(false, "key_in_body") {
		k.lose(b, Lost, p.Pos, "key_in_body", "keys are not looked for in bodies", "")
	}
	k.identify(b, p, c, sources...)
}

// writeKeys writes the file of hashes of the consumers' keys.
func (k *kong) writeKeys(file string) bool {
	owners := &block{}
	for _, c := range k.consumers {
		o := &block{}
		if len(c.groups) > 0 {
			o.set("claims", mapOf("groups", anyList(c.groups)))
		}
		for i, cred := range k.credentials(c, "keyauth_credentials", "key-auth") {
			key := cred.String("key")
			if len(key) < 8 {
				k.lose(nil, Lost, cred.Pos, "a key of "+c.name, "it is not in this file, or too short to be one", "gopura key new")
				continue
			}
			sum := sha256.Sum256([]byte(key))
			o.push("keys", mapOf("id", "kong-"+strconv.Itoa(i+1), "hash", "sha256:"+hex.EncodeToString(sum[:])))
		}
		if o.has("keys") {
			owners.set(c.name, o)
		}
	}
	if len(owners.fields) == 0 {
		return false
	}
	w := &writer{}
	w.WriteString("# Hashes of the keys of Kong's consumers: the keys themselves are not here.\n")
	w.field("owners", owners, 0)
	k.files[file] = []byte(w.String())
	return true
}

func (k *kong) basicAuth(b *block, p, c *config.Tree, _ string) {
	if k.files[kongUsers] == nil {
		k.shut(b, p.Pos, "plugin basic-auth", "no consumer in this file has a password that can be used", "htpasswd -B makes a file of users: see identity/basic")
		return
	}
	id := "basic " + c.String("hide_credentials") + " " + c.String("realm")
	if k.sources[id] == nil {
		s := mapOf("file", kongUsers, "realm", cmp.Or(c.String("realm"), "service"))
		if !c.Bool(false, "hide_credentials") {
			s.set("forward", true)
		}
		own := k.unique("identity", "users")
		k.identity.set(own, mapOf("basic", s))
		k.sources[id] = []string{own}
	}
	k.identify(b, p, c, k.sources[id]...)
}

const (
	kongUsers        = "kong-users" // the file of names and hashes
	maxKongPasswords = 200          // are hashed: each takes a tenth of a second, on purpose
)

// uses says whether a plugin stands anywhere.
func (k *kong) uses(name string) bool {
	stands := func(t *config.Tree) bool {
		return slices.ContainsFunc(t.List("plugins"), func(p *config.Tree) bool { return p.String("name") == name })
	}
	return stands(k.tree) || slices.ContainsFunc(k.tree.List("routes"), stands) || slices.ContainsFunc(k.tree.List("services"), func(s *config.Tree) bool {
		return stands(s) || slices.ContainsFunc(s.List("routes"), stands)
	})
}

// writeUsers writes the file of names and hashes of passwords. Who has come in
// by a password is known by the name of the credential, which therefore must not
// be that of another consumer: it would have that one's groups and limits.
func (k *kong) writeUsers() {
	owner := map[string]string{}
	for _, c := range k.consumers {
		owner[c.name] = c.name
	}
	seen := map[string]bool{}
	lines := ""
	for i := range k.consumers {
		c := &k.consumers[i]
		for _, cred := range k.credentials(*c, "basicauth_credentials", "basic-auth") {
			name, password := cmp.Or(cred.String("username"), c.name), cred.String("password")
			why, hash := "", ""
			var err error
			switch other := cmp.Or(owner[name], c.name); {
			case other != c.name:
				why = "its user name is that of the consumer " + other
			case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }) || strings.HasPrefix(name, "#"):
				why = "its user name can't stand in a file of users"
			case seen[name]:
				why = "its user name is there already"
			case password == "":
				why = "it is not in this file"
			case kongHash.MatchString(password):
				why = "Kong's own hash of it is in this file, and not the password"
			case k.opts.HashPassword == nil || len(seen) >= maxKongPasswords:
				why = "more than " + strconv.Itoa(maxKongPasswords) + " passwords are not hashed here"
			default:
				if hash, err = k.opts.HashPassword(password); err != nil {
					why = "it can't be hashed: " + err.Error()
				}
			}
			if why != "" {
				k.lose(nil, Lost, cred.Pos, "a password of "+c.name, why, "htpasswd -B "+kongUsers+" NAME")
				continue
			}
			if name != c.name {
				c.users = append(c.users, name)
				k.lose(nil, Differs, cred.Pos, "the user "+name, "who comes in by its password is called so here, and not "+c.name+" as the consumer is", "")
			}
			seen[name], owner[name] = true, c.name
			lines += name + ":" + hash + "\n"
		}
	}
	if lines != "" {
		k.files[kongUsers] = []byte("# Hashes of the passwords of Kong's consumers.\n" + lines)
	}
}

// kongHash is how Kong keeps a password: SHA-1, with the id of the consumer.
var kongHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}

func (k *kong) jwt(b *block, p, c *config.Tree, _ string) {
	if claim := c.String("key_claim_name"); claim != "" && claim != "iss" {
		k.shut(b, p.Pos, "plugin jwt", "the claim that names the issuer is iss here, not "+claim, "set up identity by hand")
		return
	}
	if k.sources["jwt"] == nil {
		k.jwtSources()
	}
	if len(k.sources["jwt"]) == 0 {
		k.shut(b, p.Pos, "plugin jwt", "no consumer in this file has a secret that can be used", "set up identity: { idp: { jwt: … } }")
		return
	}
	k.lose(b, Differs, p.Pos, "plugin jwt", "exp must be there and not be over, whatever claims_to_verify says", "")
	id := k.sources["jwt"]
	k.identify(b, p, c, id...)
}

func (k *kong) jwtSources() {
	for _, consumer := range k.consumers {
		for _, cred := range k.credentials(consumer, "jwt_secrets", "jwt") {
			alg := cmp.Or(cred.String("algorithm"), "HS256")
			s := mapOf("issuer", cred.String("key"), "audience", "any", "algorithms", alg, "token", []any{"bearer", "query.jwt"})
			name := k.unique("identity", slug("jwt-"+consumer.name, "jwt"))
			switch key, secret := cred.String("rsa_public_key"), cred.String("secret"); {
			case cred.String("key") == "":
				k.lose(nil, Lost, cred.Pos, "a JWT secret of "+consumer.name, "it has no key, which is the issuer", "")
				continue
			case key != "":
				s.set("keys", key)
			case strings.HasPrefix(alg, "HS") && len(secret) >= map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[alg]:
				file := "secrets/" + name
				k.files[file] = []byte(secret + "\n")
				s.set("secret", reference("${file:"+file+"}"))
			default:
				k.lose(nil, Lost, cred.Pos, "a JWT secret of "+consumer.name, "the secret is not in this file, or shorter than the hash of "+alg, "agree on a longer one")
				continue
			}
			k.identity.set(name, mapOf("jwt", s))
			k.sources["jwt"] = append(k.sources["jwt"], name)
		}
	}
}

// acl lets consumers in by their groups, which are known here.
func (k *kong) acl(b *block, p, c *config.Tree, _ string) {
	allow, deny := append(c.Strings("allow"), c.Strings("whitelist")...), append(c.Strings("deny"), c.Strings("blacklist")...)
	var subjects []string
	for _, consumer := range k.consumers {
		member := func(list []string) bool {
			return slices.ContainsFunc(consumer.groups, func(g string) bool { return slices.Contains(list, g) })
		}
		if len(allow) > 0 && member(allow) || len(allow) == 0 && !member(deny) {
			subjects = append(append(subjects, consumer.name), consumer.users...)
		}
	}
	if len(subjects) == 0 || k.tokens {
		k.shut(b, p.Pos, "plugin acl", "who is in its groups can't be told", "write allow: or roles:")
		return
	}
	if b.get("allow") == nil {
		b.set("allow", "identity.sub in "+exprList(subjects))
	}
	k.lose(b, Differs, p.Pos, "plugin acl", "the members of its groups stand here by name", "the keys have a claim groups: roles: { any: […], claim: groups } does the same")
}
