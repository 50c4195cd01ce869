package simulate

import (
	"math"
	"strconv"
)

// Status codes of OPC UA part 6, annex A.
const (
	statusGood                = 0x00000000
	statusGoodLocalOverride   = 0x00960000
	statusUncertainLastUsable = 0x40900000
	statusUncertainNotExact   = 0x40930000
	statusBadNoCommunication  = 0x80310000
	statusBadSensorFailure    = 0x80340000
)

// instruments are those of a plant's process line, of every kind of value, and
// each is out of order at times: then its quality says so, and where nothing
// is heard of it the last value stands.
type instruments struct {
	first  int
	states []instrument
	normal *normals
}

type instrument struct {
	steps   random
	level   float64
	count   int64
	mode    uint8
	quality uint32
}

// The instruments of one process line, in the order of their numbers.
const (
	pressureTransmitter = iota
	flowMeter
	pieceCounter
	valve
	machineState
	instrumentTypes
)

func newInstruments(c Config) devices {
	s := &instruments{first: c.First, states: make([]instrument, c.Count), normal: newNormals()}
	for i := range s.states {
		r := seeded(c.Seed, c.First+i, saltStart)
		s.states[i] = instrument{
			steps: seeded(c.Seed, c.First+i, saltSteps),
			level: 2 + 6*r.unit(), count: int64(r.below(1_000_000)), mode: uint8(r.below(4)),
		}
	}
	return s
}

func (s *instruments) line(dst []byte, device int, now moment) ([]byte, int) {
	in := &s.states[device]
	number := s.first + device
	in.turn()
	heard := in.quality != statusBadNoCommunication && in.quality != statusUncertainLastUsable
	if heard {
		s.normal.source = in.steps
		in.level = s.normal.walk(in.level, 0.02, 0, 10)
		in.steps = s.normal.source
		in.act()
	}
	what := number % instrumentTypes
	metric, kind := instrumentMetric(what)
	dst = append(dst, `{"metric":"`...)
	dst = append(dst, metric...)
	dst = append(dst, `","tags":{"instrument":"i`...)
	dst = appendPadded(dst, uint64(number+1), 5)
	dst = append(dst, `","line":"l`...)
	dst = appendPadded(dst, uint64(number/instrumentTypes+1), 2)
	dst = append(dst, `"},"time":`...)
	dst = append(dst, now.digits...)
	dst = append(dst, `,"kind":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","value":`...)
	dst = in.appendValue(dst, what)
	if in.quality != statusGood {
		dst = append(dst, `,"quality":`...)
		dst = strconv.AppendUint(dst, uint64(in.quality), 10)
	}
	return append(dst, "}\n"...), 1
}

func instrumentMetric(what int) (metric, valueKind string) {
	switch what {
	case pressureTransmitter:
		return "pressure_bar", "float64"
	case flowMeter:
		return "flow_m3h", "float64"
	case pieceCounter:
		return "pieces", "int64"
	case valve:
		return "valve_open", "bool"
	}
	return "machine_state", "string"
}

// turn lets trouble come, once in about 500 samples, and go, after about ten.
func (in *instrument) turn() {
	chance := in.steps.below(1000)
	switch {
	case in.quality == statusGood && chance < 2:
		troubles := [...]uint32{
			statusGoodLocalOverride, statusUncertainLastUsable, statusUncertainNotExact,
			statusBadNoCommunication, statusBadSensorFailure,
		}
		in.quality = troubles[in.steps.below(uint64(len(troubles)))]
	case in.quality != statusGood && chance < 100:
		in.quality = statusGood
	}
}

// act moves what is counted or switched.
func (in *instrument) act() {
	in.count += int64(in.steps.below(4))
	if in.steps.below(100) == 0 {
		in.mode = (in.mode + 1) % 4
	}
}

func (in *instrument) appendValue(dst []byte, what int) []byte {
	switch what {
	case pressureTransmitter:
		return strconv.AppendFloat(dst, in.level, 'f', 3, 64)
	case flowMeter:
		// The bottom of the range is cut off, as flow meters do.
		return strconv.AppendFloat(dst, math.Max(0, float64(12*in.level)-3), 'f', 2, 64)
	case pieceCounter:
		return strconv.AppendInt(dst, in.count, 10)
	case valve:
		return strconv.AppendBool(dst, in.mode%2 == 0)
	}
	return strconv.AppendQuote(dst, [...]string{"idle", "running", "blocked", "cleaning"}[in.mode%4])
}
