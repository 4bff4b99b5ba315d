// Command release makes what users download: for each architecture an archive
// with the static binary, man pages, shell completions, the systemd units, the
// licences and a bill of materials, and a list of checksums beside them. The same source gives
// the same bytes on every machine; -verify builds twice to show it.
//
//	dist/gopura-1.2.3-linux-amd64.tar.gz
//	dist/gopura-1.2.3-linux-amd64.cdx.json     CycloneDX
//	dist/SHA256SUMS
//	dist/image/…                               what packaging/Containerfile copies
package main
