// Package simulate owns the made-up fleets: streams of samples, as bodies of
// requests, that look like those of real devices.
//
// A fleet is deterministic: what a device sends depends on the seed and the
// device's number alone, not on the fleet's size, the size of the bodies or
// the machine. So a fleet can be checked against, divided, and sent twice.
//
// It refuses to send anything, and to know of time passing: a fleet gives its
// samples as fast as they are asked for. It imports package sample only.
package simulate

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Config says how many devices there are, and from when to when they send.
type Config struct {
	// Count is the number of devices.
	Count int
	// First is the number of the first device, from 0. Fleets of one seed that
	// differ in First and Count are parts of one larger fleet.
	First int
	// Start is the time of the first samples, in ns since 1970 UTC; it is
	// rounded up to a whole second.
	Start int64
	// For is the simulated time that passes: samples lie in [Start, Start+For).
	For time.Duration
	// Interval is the time between a device's samples; 0 means the kind's own.
	Interval time.Duration
	// Seed chooses among the fleets of one kind.
	Seed uint64
}

// MaxCount is the most devices that a fleet can have.
const MaxCount = 10_000_000

const longestInterval = 366 * 24 * time.Hour

// Default gives 1,000 devices over one hour from 2026-01-05T00:00:00Z, the
// start of an ISO week.
func Default() Config {
	return Config{Count: 1000, Start: 1_767_571_200_000_000_000, For: time.Hour, Seed: 1}
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Count < 1 || c.Count > MaxCount:
		return fmt.Errorf("a fleet has 1 to %d devices, not %d", MaxCount, c.Count)
	case c.First < 0 || c.First > math.MaxInt32:
		return fmt.Errorf("the first device's number is 0 to %d, not %d", math.MaxInt32, c.First)
	case c.For <= 0:
		return fmt.Errorf("the simulated time must be more than 0, not %s", c.For)
	case c.Interval < 0 || c.Interval%time.Second != 0 || c.Interval > longestInterval:
		return fmt.Errorf("the interval must be whole seconds and at most %s, not %s", longestInterval, c.Interval)
	case c.Start < math.MinInt64/2:
		return fmt.Errorf("the simulated time must start after %s", time.Unix(0, math.MinInt64/2).UTC().Format(time.RFC3339))
	case c.Start > math.MaxInt64-int64(c.For)-int64(time.Second):
		return fmt.Errorf("the simulated time ends past the last time there is, %s", time.Unix(0, math.MaxInt64).UTC().Format(time.RFC3339))
	}
	return nil
}

// Format is what a fleet's bodies are written in.
type Format uint8

// The formats.
const (
	// LineProtocol is InfluxDB line protocol with times in ns.
	LineProtocol Format = iota + 1
	// JSONLines is one JSON object of the samples API a line.
	JSONLines
)

// Kind describes one kind of fleet.
type Kind struct {
	Name     string
	Title    string
	Interval time.Duration
	Format   Format

	// phases is the number of whole seconds, at most, by which devices of the
	// kind are set apart; 1 means that all send at once.
	phases int
	make   func(Config) devices
}

// Kinds lists the fleets there are.
func Kinds() []Kind {
	return []Kind{
		{"power-meters", "cumulative energy in kWh, 3 decimals, a phase for each meter", 10 * time.Second, LineProtocol, 10, newMeters},
		{"hosts", "10 CPU figures a host with 10 tags, the shape of TSBS cpu-only", 10 * time.Second, LineProtocol, 1, newHosts},
		{"environment-stations", "temperature, humidity and pressure with their course of the day", time.Minute, LineProtocol, 60, newStations},
		{"industrial-instruments", "transmitters, counters, valves and states with OPC UA qualities, as JSON", time.Second, JSONLines, 1, newInstruments},
		{"mobile-clients", "latency, traffic and battery of phones that come and go", 15 * time.Second, LineProtocol, 15, newMobiles},
		{"ad-clients", "impressions, clicks and spend of advertising clients", 30 * time.Second, LineProtocol, 30, newAds},
		{"satellites", "position, battery and panel current in a low orbit", 5 * time.Second, LineProtocol, 1, newSatellites},
	}
}

// devices writes what each device of a fleet sends.
type devices interface {
	// line appends what the device sends at that time: a whole line, or
	// nothing. It gives the number of samples in it. Device numbers count from
	// 0 within this fleet, and times of one device only grow.
	line(dst []byte, device int, now moment) ([]byte, int)
}

// moment is a time and its decimal digits, which many lines share.
type moment struct {
	at     int64
	digits []byte
}

// Fleet streams the samples of many devices in time order. It is not safe for
// concurrent use.
type Fleet struct {
	kind     Kind
	devices  devices
	order    []int32 // devices by phase
	offset   []uint8 // each device's phase in seconds
	interval int64
	start    int64
	end      int64

	turn int64 // start of the current round of all devices
	next int   // position in order
	now  moment
}

// New makes a fleet of the named kind.
func New(kind string, c Config) (*Fleet, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("simulate %s: %w", kind, err)
	}
	var names []string
	for _, k := range Kinds() {
		if k.Name == kind {
			return newFleet(k, c), nil
		}
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("there is no fleet %q: use one of %s", kind, strings.Join(names, ", "))
}

func newFleet(k Kind, c Config) *Fleet {
	if c.Interval == 0 {
		c.Interval = k.Interval
	}
	const second = int64(time.Second)
	start := c.Start
	if rest := (start%second + second) % second; rest != 0 {
		start += second - rest
	}
	f := &Fleet{
		kind: k, devices: k.make(c), interval: int64(c.Interval),
		start: start, end: c.Start + int64(c.For), turn: start,
	}
	f.offset, f.order = phases(c, min(k.phases, int(c.Interval/time.Second)))
	return f
}

// phases draws each device's phase from [0, n) seconds and sorts the devices
// by it, in one pass of counting.
func phases(c Config, n int) ([]uint8, []int32) {
	offset, order := make([]uint8, c.Count), make([]int32, c.Count)
	from := make([]int, n+1)
	for i := range offset {
		r := seeded(c.Seed, c.First+i, saltPhase)
		offset[i] = uint8(r.below(uint64(n)))
		from[offset[i]+1]++
	}
	for p := range n {
		from[p+1] += from[p]
	}
	for i, p := range offset {
		order[from[p]] = int32(i)
		from[p]++
	}
	return offset, order
}
