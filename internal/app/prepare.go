package app

import "weir/internal/bounds"

// Prepare sets what libraries have one of for the whole process. Call it first
// of all, before anything else runs.
func Prepare() error { return bounds.SetDecoders() }
