package simulate

import "strconv"

// metersPerSite is the number of meters behind one substation.
const metersPerSite = 50

// meters count energy up. The register moves in whole Wh, so that three
// decimals of a kWh say it exactly.
type meters struct {
	first int
	steps []random
	total []uint64 // Wh
}

func newMeters(c Config) devices {
	m := &meters{first: c.First, steps: make([]random, c.Count), total: make([]uint64, c.Count)}
	for i := range m.steps {
		r := seeded(c.Seed, c.First+i, saltStart)
		m.total[i] = r.below(100_000_000) // a register of up to 100 MWh
		m.steps[i] = seeded(c.Seed, c.First+i, saltSteps)
	}
	return m
}

func (m *meters) line(dst []byte, device int, now moment) ([]byte, int) {
	number := m.first + device
	wh := m.total[device]
	dst = append(dst, "energy_kwh,meter=m"...)
	dst = appendPadded(dst, uint64(number+1), 6)
	dst = append(dst, ",site=s"...)
	dst = appendPadded(dst, uint64(number/metersPerSite+1), 2)
	dst = append(dst, " value="...)
	dst = strconv.AppendUint(dst, wh/1000, 10)
	dst = append(dst, '.')
	dst = appendPadded(dst, wh%1000, 3)
	m.total[device] = wh + m.steps[device].below(10)
	return appendStamp(dst, now), 1
}

// appendPadded writes n with at least that many digits.
func appendPadded(dst []byte, n uint64, digits int) []byte {
	least := uint64(1)
	for range digits - 1 {
		least *= 10
	}
	for ; least > 1 && n < least; least /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, n, 10)
}

// appendStamp ends a line of line protocol.
func appendStamp(dst []byte, now moment) []byte {
	dst = append(dst, ' ')
	dst = append(dst, now.digits...)
	return append(dst, '\n')
}
