// Package definition owns what a pipeline is told: the strict YAML text, its
// steps and their graph, and the windows that its schedule divides time into.
// All of it is pure. The format is docs/formats/pipeline.md.
//
// It refuses to know runs, records and what selectors and parameters mean
// (Checks), and imports internal/spelling alone.
package definition
