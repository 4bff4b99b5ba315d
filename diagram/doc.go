// Package diagram draws the architecture that a configuration describes:
// clients, listeners, routes with their policies, services, targets.
//
//	Document ──▶ Graph ──▶ Mermaid, DOT, SVG
package diagram
