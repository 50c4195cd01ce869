// Package harness builds the real weir, runs it as a process of its own, and
// speaks to it over its HTTP port as any client would.
//
// It owns processes, ports, logs and a client that takes nothing for granted:
// it reads answers with the standard library, so that a fault shared by
// Weir's own client and server shows. It refuses to judge what a test found,
// and imports no package of Weir. Only tests import it.
package harness
