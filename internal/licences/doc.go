// Command licences looks at the licences of the modules that are linked into
// gopura. It fails when one has none that is allowed. With -text it writes all
// of them, as they must accompany a binary.
package main
