// Package bench measures the real binary as a whole, where the benchmarks
// beside the code measure its parts. Run it with `make bench`.
package bench
