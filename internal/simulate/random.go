package simulate

import "math/rand/v2"

// random is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
// number generators, OOPSLA 2014): eight bytes a device, and any number is a
// fair start.
type random uint64

// Salts keep what is drawn for different purposes apart.
const (
	saltPhase uint64 = iota + 1
	saltTags
	saltStart
	saltSteps
)

// seeded gives the generator of one device for one purpose.
func seeded(seed uint64, device int, salt uint64) random {
	return random(mix(mix(mix(seed)+uint64(device)) + salt))
}

// Uint64 makes random a source of math/rand/v2.
func (r *random) Uint64() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below draws evenly from [0, n), n below 2^32. The bias of scaling 32 bits
// is under n in 2^32.
func (r *random) below(n uint64) uint64 { return (r.Uint64() >> 32) * n >> 32 }

// unit draws evenly from [0, 1).
func (r *random) unit() float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// normals draws from a device's generator with the tables of math/rand.
type normals struct {
	source random
	rand   *rand.Rand
}

func newNormals() *normals {
	n := &normals{}
	n.rand = rand.New(&n.source)
	return n
}

// walk moves v by a normal step of that size and keeps it within the bounds.
func (n *normals) walk(v, step, low, high float64) float64 {
	return min(max(v+float64(step*n.rand.NormFloat64()), low), high)
}

// pick gives one of the choices.
func pick(r *random, choices []string) string { return choices[r.below(uint64(len(choices)))] }
