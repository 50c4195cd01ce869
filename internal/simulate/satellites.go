package simulate

import (
	"math"
	"strconv"
	"time"
)

// satellites fly circular orbits; one in the Earth's shadow lives on its
// battery. Good for the shape of such data, not for navigation.
type satellites struct {
	first  int
	orbits []orbit
}

type orbit struct {
	inclination float64 // radians
	node        float64 // radians, at 1970
	phase       float64 // fraction of a revolution, at 1970
	period      int64   // ns
	altitude    float64 // km
	charge      float64 // 0 to 1
	steps       random
}

func newSatellites(c Config) devices {
	s := &satellites{first: c.First, orbits: make([]orbit, c.Count)}
	const (
		earthRadius = 6378.137   // km, WGS 84
		gravity     = 398600.442 // km³/s², WGS 84
	)
	for i := range s.orbits {
		r := seeded(c.Seed, c.First+i, saltStart)
		altitude := 450 + 350*r.unit()
		axis := earthRadius + altitude
		seconds := 2 * math.Pi * math.Sqrt(axis*axis*axis/gravity)
		s.orbits[i] = orbit{
			inclination: (50 + 48*r.unit()) * math.Pi / 180, node: 2 * math.Pi * r.unit(), phase: r.unit(),
			period: int64(seconds) * int64(time.Second), altitude: math.Round(altitude), charge: 0.6 + 0.4*r.unit(),
			steps: seeded(c.Seed, c.First+i, saltSteps),
		}
	}
	return s
}

func (s *satellites) line(dst []byte, device int, now moment) ([]byte, int) {
	o := &s.orbits[device]
	turn := float64((now.at%o.period+o.period)%o.period) / float64(o.period)
	u := 2 * math.Pi * (turn + o.phase) // argument of latitude
	latitude := math.Asin(float64(math.Sin(o.inclination) * math.Sin(u)))
	right := o.node + math.Atan2(float64(math.Cos(o.inclination)*math.Sin(u)), math.Cos(u))
	longitude := math.Remainder(right-float64(2*math.Pi*dayFraction(now.at)), 2*math.Pi)
	panel := 0.0 // ampere
	if math.Cos(u+o.node) > -0.4 {
		panel = 4.2 + float64(0.3*o.steps.unit())
		o.charge = min(o.charge+0.002, 1)
	} else {
		o.charge = max(o.charge-0.003, 0.2)
	}

	dst = append(dst, "satellite,name=sat"...)
	dst = appendPadded(dst, uint64(s.first+device+1), 4)
	for _, f := range [...]struct {
		name   string
		value  float64
		digits int
	}{
		{" latitude=", latitude * 180 / math.Pi, 4},
		{",longitude=", longitude * 180 / math.Pi, 4},
		{",altitude_km=", o.altitude, 1},
		{",battery_v=", 24 + float64(8*o.charge), 2},
		{",panel_a=", panel, 2},
	} {
		dst = append(dst, f.name...)
		dst = strconv.AppendFloat(dst, f.value, 'f', f.digits, 64)
	}
	return appendStamp(dst, now), 5
}
