package config

import "slices"

// methods are those of the IANA registry that a gateway meets, and two that
// caches have made common. Any other token is a method too, but seldom meant.
var methods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY", "PURGE", "BAN",
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY",
	"MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PRI", "PROPFIND", "PROPPATCH", "REBIND",
	"REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
}

// checkMethod warns of a method that was probably meant to be another one.
func checkMethod(at *At, key, shown, method string) {
	if slices.Contains(methods, method) {
		return
	}
	hint := "methods are case-sensitive words; any that services know may stand here"
	if near := nearest(method, httpMethods); near != "" && !at.secret(key) {
		hint = "did you mean " + quote(near) + "?"
	}
	at.Advise(hint, key, "%s is no method that HTTP knows", shown)
}
