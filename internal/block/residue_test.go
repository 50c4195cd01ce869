package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// floats makes runs of floats of some nature, of any length.
func floats(nature string, n int, r *rand.Rand) []uint64 {
	special := []uint64{
		0, 1 << 63, math.Float64bits(math.NaN()), 0x7FF0000000000001, 0xFFF8000000001234,
		math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), math.Float64bits(math.MaxFloat64),
		1, 1<<63 | 1, math.Float64bits(1 << 51), math.Float64bits(-1 << 53), math.Float64bits(1e300),
	}
	scale := r.IntN(maxScale + 1)
	out := make([]uint64, n)
	walk := r.IntN(1 << r.IntN(30))
	for i := range out {
		walk += r.IntN(41) - 20
		x := float64(walk) / powers[scale]
		switch nature {
		case "decimals":
		case "decimals and a few ULP":
			if r.IntN(3) == 0 {
				x = math.Float64frombits(math.Float64bits(x) + uint64(r.IntN(7)) - 3)
			}
		case "floats of 32 bits":
			x = float64(float32(x))
		case "decimals and specials":
			if r.IntN(5) == 0 {
				x = math.Float64frombits(special[r.IntN(len(special))])
			}
		case "few":
			x = math.Sqrt(float64(1 + walk&15))
		case "one":
			x = math.Pi
		case "any reals":
			x = r.NormFloat64() * math.Pow(10, float64(r.IntN(20)))
		case "any bits":
			x = math.Float64frombits(r.Uint64())
		}
		out[i] = math.Float64bits(x)
	}
	return out
}

// natures lists what floats knows.
func natures() []string {
	return []string{"decimals", "decimals and a few ULP", "floats of 32 bits", "decimals and specials", "few", "one", "any reals", "any bits"}
}

// readBack reads what was written over a run of garbage and compares.
func readBack(t fatal, what string, body []byte, values []uint64, read func(*cursor, []uint64)) {
	out := make([]uint64, len(values))
	for i := range out {
		out[i] = 0xDEADBEEF
	}
	c := &cursor{data: body}
	read(c, out)
	if !c.done() {
		t.Fatalf("%s: read to %d of %d bytes, failed %v", what, c.at, len(body), c.bad)
	}
	for i, v := range values {
		if out[i] != v {
			t.Fatalf("%s: value %d of %d is %#x, was %#x", what, i, len(values), out[i], v)
		}
	}
}

func TestFloatFormsKeepEveryBit(t *testing.T) {
	var k dictionaryCoder // its memory must not tell one run from another
	rapid.Check(t, func(t *rapid.T) {
		nature := rapid.SampledFrom(natures()).Draw(t, "nature")
		n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 3000)).Draw(t, "length")
		seed := rapid.Uint64().Draw(t, "seed")
		values := floats(nature, n, rand.New(rand.NewPCG(seed, 1)))
		d, _ := chooseDecimals(values, study)
		forced := decimals{rapid.IntRange(0, maxScale).Draw(t, "scale"), rapid.Bool().Draw(t, "narrow")}
		for _, d := range []decimals{d, forced} {
			body := k.appendResidues([]byte("before"), values, d)
			readBack(t, fmt.Sprint("residues ", d), body[len("before"):], values, k.readResidues)
		}
		body, ok := k.appendDictionary([]byte("before"), values, repeatsSmall)
		if ok {
			readBack(t, "dictionary", body[len("before"):], values, k.readDictionary)
		} else if string(body) != "before" {
			t.Fatalf("a refused dictionary left %d bytes", len(body))
		}
	})
}

// numbersOf makes integers of each order, and of each width.
func numbersOf(order, n int, r *rand.Rand) []uint64 {
	out := make([]uint64, n)
	width := r.IntN(64)
	var last, slope uint64
	for i := range out {
		noise := r.Uint64()>>width - 1<<(63-width)
		switch order {
		case 0:
			last = noise
		case 1:
			last += noise
		case 2:
			slope += noise
			last += slope
		}
		out[i] = last
	}
	return out
}

func TestNumbersKeepEveryBit(t *testing.T) {
	var k numberCoder
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(500, 530), rapid.IntRange(0, 5000)).Draw(t, "length")
		order := rapid.IntRange(0, maxOrder).Draw(t, "order")
		numbers := numbersOf(order, n, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2)))
		readBack(t, "numbers", k.appendNumbers(nil, numbers), numbers, k.readNumbers)
	})
}

// Each width of number alone, at the seams of chunks and of streams.
func TestNumbersOfEveryWidth(t *testing.T) {
	var k numberCoder
	for _, n := range []int{1, 2, 3, leastFour - 1, leastFour, chunk, chunk + 1, 2*chunk + 300} {
		for width := 0; width <= 64; width += 1 + n/2000 {
			numbers := make([]uint64, n)
			for i := range numbers {
				numbers[i] = uint64(i) * 0x9E3779B97F4A7C15 >> (64 - width)
			}
			readBack(t, fmt.Sprintf("%d numbers of %d bits", n, width), k.appendNumbers(nil, numbers), numbers, k.readNumbers)
		}
	}
}

// What there is to learn is learnt: the order of differences, and of numbers
// that are noise in some bits no more than a little above those bits.
func TestNumbersCostTheirNoise(t *testing.T) {
	var k numberCoder
	r := rand.New(rand.NewPCG(3, 3))
	for order := range maxOrder + 1 {
		for _, noise := range []int{2, 3, 6, 12, 33} {
			const n = 20000
			var last, slope uint64
			numbers := make([]uint64, n)
			for i := range numbers {
				draw := uint64(r.Int64N(1<<noise)) - 1<<(noise-1)
				switch order {
				case 0:
					last = 1e9 + draw
				case 1:
					last += draw
				case 2:
					slope += draw
					last += slope
				}
				numbers[i] = last
			}
			size := len(k.appendNumbers(nil, numbers))
			if least, most := n*noise/8, n*noise/8*103/100+300; size < least || size > most {
				t.Errorf("%d bits of noise of order %d are %d bytes, not %d to %d", noise, order, size, least, most)
			}
		}
	}
}

// A counter that goes on at about the same rate costs what the rate varies.
func TestNumbersOfACounter(t *testing.T) {
	var k numberCoder
	r := rand.New(rand.NewPCG(9, 9))
	numbers := make([]uint64, 20000)
	for i := range numbers[1:] {
		numbers[1+i] = numbers[i] + 100000 + uint64(r.IntN(16))
	}
	body := k.appendNumbers(nil, numbers)
	if most := 20000*4/8 + 300; len(body) > most {
		t.Errorf("%d bytes for 4 bits of noise, not at most %d", len(body), most)
	}
	readBack(t, "numbers", body, numbers, k.readNumbers)
}

// Readings that seldom change cost a part of a bit.
func TestNumbersThatSeldomChange(t *testing.T) {
	var k numberCoder
	r := rand.New(rand.NewPCG(4, 4))
	numbers := make([]uint64, 20000)
	for i := range numbers {
		numbers[i] = numbers[max(i-1, 0)]
		if r.IntN(100) == 0 {
			numbers[i] += uint64(r.IntN(7)) - 3
		}
	}
	body := k.appendNumbers(nil, numbers)
	if len(body) > 700 {
		t.Errorf("%d bytes for 200 changes", len(body))
	}
	readBack(t, "numbers", body, numbers, k.readNumbers)
}

// twice parses a decimal as a careless reader does: it divides by one power
// of ten and then by another.
func twice(n int64, first, second int) uint64 {
	return math.Float64bits(float64(n) / powers[first] / powers[second])
}

func TestResiduesAreSmallWhereReadersRoundTwice(t *testing.T) {
	var k residueCoder
	r := rand.New(rand.NewPCG(5, 5))
	values, n := make([]uint64, 10000), int64(7396732207)
	for i := range values {
		n += r.Int64N(1<<20) - 1<<19
		values[i] = twice(n, 2, 6)
	}
	d, _ := chooseDecimals(values, study)
	if want := (decimals{scale: 8}); d != want {
		t.Fatalf("chose %v, not %v", d, want)
	}
	body := k.appendResidues(nil, values, d)
	if share := len(k.patches) * 100 / len(values); share < 5 || share > 50 {
		t.Errorf("%d %% are off by some ULP: the test tests nothing", share)
	}
	if each := float64(len(body)) / float64(len(values)); each > 20.0/8+0.2 {
		t.Errorf("%.2f bytes a value for 20 bits of noise and few residues", each)
	}
	readBack(t, "residues", body, values, k.readResidues)
}

func TestChosenDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, want := range []decimals{{0, false}, {3, false}, {9, false}, {3, true}, {1, true}} {
		values := make([]uint64, 500)
		for i := range values {
			values[i] = want.join(uint64(r.Int64N(1000000)))
		}
		if d, each := chooseDecimals(values, study); d != want || each > 30 {
			t.Errorf("chose %v at %d bits, not %v", d, each, want)
		}
	}
	values := floats("any bits", 500, r)
	if _, each := chooseDecimals(values, study); each < 60 {
		t.Errorf("any bits cost %d bits, it says", each)
	}
}

// A damaged or a strange body is read without a panic, and never past its end.
func TestDamagedFloatForms(t *testing.T) {
	var k dictionaryCoder
	r := rand.New(rand.NewPCG(7, 7))
	for _, nature := range natures() {
		values := floats(nature, 700, r)
		out := make([]uint64, len(values))
		d, _ := chooseDecimals(values, study)
		for what, body := range map[string][]byte{
			"residues":   k.appendResidues(nil, values, d),
			"dictionary": first(k.appendDictionary(nil, values, repeatsSmall)),
		} {
			read := k.readResidues
			if what == "dictionary" {
				read = k.readDictionary
			}
			for range 300 {
				damaged := slices.Clone(body)
				if len(damaged) > 0 {
					damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
				}
				read(&cursor{data: damaged}, out)
			}
			for size := range body {
				c := &cursor{data: body[:size]}
				if read(c, out); c.done() {
					t.Fatalf("%s of %s: %d of %d bytes are enough", what, nature, size, len(body))
				}
			}
		}
	}
}

// Four numbers 0, 1, 2, 3 of order 0 are 00 00, the codes 10 00 02 04 06.
func TestForgedFloatForms(t *testing.T) {
	var k dictionaryCoder
	good := []byte{0, 0, 16, 0, 2, 4, 6}
	for what, c := range map[string]struct {
		body []byte
		read func(*cursor, []uint64)
		good bool
	}{
		"numbers":                      {good, k.readNumbers, true},
		"an order there is not":        {[]byte{3, 0, 16, 0, 2, 4, 6}, k.readNumbers, false},
		"too few plain codes":          {[]byte{0, 0, 12, 0, 2, 4}, k.readNumbers, false},
		"too many plain codes":         {[]byte{0, 0, 20, 0, 2, 4, 6, 8}, k.readNumbers, false},
		"two codes that all are":       {[]byte{0, 0, 8 | packRepeat, 2, 2}, k.readNumbers, false},
		"a code there is not":          {append([]byte{0, 0, 4 | packRepeat, lastCode + 1}, make([]byte, 32)...), k.readNumbers, false},
		"raw bits":                     {[]byte{0, 0, 4 | packRepeat, ownCodes, 0, 0, 0}, k.readNumbers, true},
		"raw bits that are cut":        {[]byte{0, 0, 4 | packRepeat, ownCodes, 0, 0}, k.readNumbers, false},
		"raw bits that are left over":  {[]byte{0, 0, 16, 0, 0, 0, ownCodes, 0x3F}, k.readNumbers, true},
		"raw bits that are not 0":      {[]byte{0, 0, 16, 0, 0, 0, ownCodes, 0x7F}, k.readNumbers, false},
		"no end of patches":            {append([]byte{0, 255, 255, 255, 255, 255, 255, 255, 255, 127}, good...), k.readResidues, false},
		"residues":                     {append([]byte{0, 0}, good...), k.readResidues, true},
		"a scale there is not":         {append([]byte{32, 0}, good...), k.readResidues, false},
		"more patches than values":     {append(append([]byte{0, 5}, good...), 0, 0, 4|packRepeat, 0, 0, 0, 4|packRepeat, 0), k.readResidues, false},
		"a patch":                      {append(append([]byte{0, 1}, good...), 0, 0, 4|packRepeat, 6, 0, 0, 4|packRepeat, 0), k.readResidues, true},
		"a patch past the end":         {append(append([]byte{0, 1}, good...), 0, 0, 4|packRepeat, 8, 0, 0, 4|packRepeat, 0), k.readResidues, false},
		"a dictionary":                 {append(append([]byte{4, 0, 0}, good...), good...), k.readDictionary, true},
		"more distinct than values":    {append([]byte{5, 0, 0, 0, 0, 4 | packRepeat, 0}, good...), k.readDictionary, false},
		"a rank there is not":          {append(append([]byte{4, 0, 0}, good...), 0, 0, 16, 0, 2, 4, 8), k.readDictionary, false},
		"a negative rank":              {append(append([]byte{4, 0, 0}, good...), 0, 0, 16, 0, 2, 4, 1), k.readDictionary, false},
		"ranks of an empty dictionary": {append([]byte{0, 0, 0}, good...), k.readDictionary, false},
	} {
		reader := &cursor{data: c.body}
		if c.read(reader, make([]uint64, 4)); reader.done() != c.good {
			t.Errorf("%s: good is %v, read to %d of %d", what, reader.done(), reader.at, len(c.body))
		}
	}
}

func TestDictionaryWantsRepeats(t *testing.T) {
	var k dictionaryCoder
	for repeats, want := range map[int]bool{repeatsSmall - 1: false, repeatsSmall: true, 2 * repeatsSmall: true} {
		values := make([]uint64, 0, 1000*repeats)
		for i := range cap(values) {
			values = append(values, math.Float64bits(math.Sqrt(float64(i%1000))))
		}
		if _, ok := k.appendDictionary(nil, values, repeatsSmall); ok != want {
			t.Errorf("values that occur %d times: dictionary %v", repeats, ok)
		}
	}
}

func first(body []byte, _ bool) []byte { return body }

func FuzzFloatForms(f *testing.F) {
	var k dictionaryCoder
	for i, nature := range natures() {
		values := floats(nature, 100, rand.New(rand.NewPCG(uint64(i), 8)))
		d, _ := chooseDecimals(values, study)
		f.Add(k.appendResidues(nil, values, d), uint16(100))
		if body, ok := k.appendDictionary(nil, values, repeatsSmall); ok {
			f.Add(body, uint16(100))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, n uint16) {
		var k dictionaryCoder
		values := make([]uint64, n)
		for _, read := range []func(*cursor, []uint64){k.readNumbers, k.readResidues, k.readDictionary} {
			read(&cursor{data: body}, values)
			// Whatever came of it is a run like any other.
			d, _ := chooseDecimals(values, study)
			readBack(t, "residues", k.appendResidues(nil, values, d), values, k.readResidues)
			if body, ok := k.appendDictionary(nil, values, repeatsSmall); ok {
				readBack(t, "dictionary", body, values, k.readDictionary)
			}
		}
	})
}
