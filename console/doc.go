// Package console is the web console: the files that a browser gets from the
// admin listener below /console/. They are in the binary; nothing is built,
// and nothing is fetched from elsewhere.
//
//	ui/index.html ─▶ ui/main.js ─▶ shell ─▶ pages ─▶ parts
//	                                │
//	                                └ api.js ─▶ /api/… of the admin listener
//
// What a page shows comes from the admin API, by fetch with the admin token.
// The files themselves are no secret: they are served without it.
package console
