// Package rawjson handles JSON values as the bytes that they arrived in: they
// are validated once, walked without being decoded, and spliced into new
// values untouched, so that numbers keep their digits and members their order.
//
//	body ──Decode / Parse──▶ Value ──Member, Index, Walk──▶ Value ──Shape, Merge, Builder──▶ body
//
// What is refused by default, and why:
//
//   - Everything that RFC 8259 refuses.
//   - Invalid UTF-8 (RFC 8259 §8.1): the next reader would guess. Limits.UTF8
//     can have it replaced by U+FFFD instead.
//   - An object that names a member twice (RFC 8259 §4: names should be
//     unique): one reader takes the first, another the last, and between them
//     lies an attack. Limits.Duplicates can have the first or the last kept.
//   - More bytes, nesting or members than Limits allow.
//
// An escaped lone surrogate ("\ud800") is allowed, as the grammar allows it;
// it is passed on as it is, and decodes to U+FFFD.
//
// A Value refers to the memory that it was made from, which must not change
// while it is used.
package rawjson
