// Package arch owns the rules of the tree: who may import whom, how large
// things may grow, which habits hold, and that documents name only files that
// exist. The rules are Go tests; each failure says what to do about it.
//
// It refuses rules without teeth: each one is shown to bite on a small tree
// made for it. An exception is written down beside its reason, and one that
// nothing needs any more is a failure too.
//
// It has no code outside its tests and imports no other package of Weir.
package arch
