package simulate

import (
	"math"
	"strconv"
	"time"
)

// stations measure weather: a course of the day, a level of their own and a
// slow walk around it.
type stations struct {
	first  int
	places []place
	steps  []random
	normal *normals
}

type place struct {
	mean, swing, noon float64 // °C, °C, fraction of a day
	drift             float64 // °C
	pressure          float64 // hPa
}

func newStations(c Config) devices {
	s := &stations{first: c.First, places: make([]place, c.Count), steps: make([]random, c.Count), normal: newNormals()}
	for i := range s.places {
		r := seeded(c.Seed, c.First+i, saltStart)
		s.places[i] = place{
			mean: -5 + 30*r.unit(), swing: 2 + 6*r.unit(), noon: 0.55 + 0.15*r.unit(),
			pressure: 985 + 45*r.unit(),
		}
		s.steps[i] = seeded(c.Seed, c.First+i, saltSteps)
	}
	return s
}

func (s *stations) line(dst []byte, device int, now moment) ([]byte, int) {
	p := &s.places[device]
	s.normal.source = s.steps[device]
	p.drift = s.normal.walk(p.drift, 0.05, -6, 6)
	p.pressure = s.normal.walk(p.pressure, 0.05, 950, 1050)
	noise := s.normal.walk(0, 1, -4, 4)
	s.steps[device] = s.normal.source

	wave := math.Cos(2 * math.Pi * (dayFraction(now.at) - p.noon))
	temperature := p.mean + p.drift + float64(p.swing*wave)
	humidity := min(max(62-float64(22*wave)-float64(1.5*p.drift)+noise, 5), 100)

	dst = append(dst, "environment,station=st"...)
	dst = appendPadded(dst, uint64(s.first+device+1), 5)
	dst = append(dst, " temperature="...)
	dst = strconv.AppendFloat(dst, temperature, 'f', 2, 64)
	dst = append(dst, ",humidity="...)
	dst = strconv.AppendFloat(dst, humidity, 'f', 1, 64)
	dst = append(dst, ",pressure="...)
	dst = strconv.AppendFloat(dst, p.pressure, 'f', 2, 64)
	return appendStamp(dst, now), 3
}

// dayFraction gives how much of the UTC day has passed.
func dayFraction(ns int64) float64 {
	const day = int64(24 * time.Hour)
	return float64((ns%day+day)%day) / float64(day)
}
