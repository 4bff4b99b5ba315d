// Command docs writes the pages of docs/reference from the code that they are
// about, and its tests hold the other pages to the truth.
//
//	go run ./internal/docs      write the pages
//	go test ./internal/docs     are they fresh, and is what the others say true?
//
// # What a page may contain
//
// The README and every page of docs/ are read by the tests. A fenced block is
//
//	yaml              a complete configuration: gateway.Check must accept it
//	yaml refused      one that gateway.Check must refuse
//	yaml fragment     a part of one: it must be YAML
//	console           commands after "$ ", and what they print
//	console demo      the same, sent to a running `gopura demo`
//	mermaid, text, …  anything
//
// The configurations of a page are written to a folder, under the name that
// stands in a comment as the first line ("# shop.yaml"), else as gopura.yaml.
// In a console block, gopura's commands that open nothing (check, routes,
// schema, version) run in that folder, and what they print is compared: "…"
// stands for anything within a line, a line of nothing else for any lines. No
// output in the block means that it does not matter. Other commands are
// checked for gopura's own words only: subcommands and flags exist, so do make
// targets, metrics, error codes, keys of the configuration and files.
//
// Paths below /etc/gopura are taken from the folder of the page; see files in
// snippet_test.go for what is there.
package main
