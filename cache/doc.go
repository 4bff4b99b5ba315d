// Package cache is a shared HTTP cache in memory (RFC 9111).
//
//	             ┌ fresh ───────────────────────────▶ answer from memory
//	request ─▶ key ─ stale ─▶ one asks the service ─▶ answer, and the next one from memory
//	             └ none ──────┘   the others wait
//
// A Set is what a gateway has of caches: Storages, which hold answers by weight,
// and what they have in common: which paths were changed, what was purged. A
// Cache is the rules of one owner (a route, a service, a call); it keeps its
// answers in a Storage, which other owners may share: owners are part of keys.
//
// What is stored never changes: header fields and bodies are handed out without
// being copied. An answer that must be changed is stored anew.
//
// Safety comes first: what the service may have made for one client is given to
// no other, and an answer that may depend on what is not in the key is not kept.
package cache
