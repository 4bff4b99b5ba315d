// Package lint looks for what is allowed and seldom meant: routes that ask
// nobody who they are, services that may take for ever, credentials in clear.
//
//	Document ──▶ Rules ──▶ Findings ──▶ text, SARIF
//
// A finding is silenced, with a reason, by a comment on its line or the line
// above: "# lint:ignore public-route everybody may see the catalog".
package lint
