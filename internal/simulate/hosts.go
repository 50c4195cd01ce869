package simulate

import "strconv"

// hostFields are the fields of TSBS's cpu-only use case, in its order.
const hostFields = 10

// hosts have the shape of TSBS's cpu-only use case (Time Series Benchmark
// Suite, cmd/tsbs_generate_data): ten tags, and ten fields that walk in
// 0..100 by steps of a standard normal, written as truncated integers.
type hosts struct {
	prefix []string // measurement, tags and a blank, one a host
	state  []float32
	steps  []random
	names  [hostFields]string // "usage_user=", ",usage_system=", …
	digits [hostLevels]string // "0i" to "100i"
	normal *normals
}

const hostLevels = 101

func newHosts(c Config) devices {
	h := &hosts{
		prefix: make([]string, c.Count),
		state:  make([]float32, c.Count*hostFields),
		steps:  make([]random, c.Count),
		normal: newNormals(),
	}
	fields := [hostFields]string{"user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"}
	for i, name := range fields {
		h.names[i] = ",usage_" + name + "="
	}
	h.names[0] = h.names[0][1:]
	for i := range h.digits {
		h.digits[i] = strconv.Itoa(i) + "i"
	}
	for i := range c.Count {
		tags := seeded(c.Seed, c.First+i, saltTags)
		h.prefix[i] = hostPrefix(&tags, c.First+i)
		r := seeded(c.Seed, c.First+i, saltStart)
		for j := range hostFields {
			h.state[i*hostFields+j] = float32(100 * r.unit())
		}
		h.steps[i] = seeded(c.Seed, c.First+i, saltSteps)
	}
	return h
}

func (h *hosts) line(dst []byte, device int, now moment) ([]byte, int) {
	dst = append(dst, h.prefix[device]...)
	h.normal.source = h.steps[device]
	state := h.state[device*hostFields:][:hostFields]
	for i, v := range state {
		dst = append(dst, h.names[i]...)
		dst = append(dst, h.digits[int(v)]...)
		state[i] = float32(h.normal.walk(float64(v), 1, 0, 100))
	}
	h.steps[device] = h.normal.source
	return appendStamp(dst, now), hostFields
}

// hostPrefix draws a host's tags from the choices that TSBS has.
func hostPrefix(r *random, number int) string {
	regions := []string{
		"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1",
		"ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1",
	}
	zones := []string{"abce", "ab", "abc", "abc", "ab", "ab", "ab", "ac", "abc"}
	region := r.below(uint64(len(regions)))
	zone := zones[region][r.below(uint64(len(zones[region])))]
	return "cpu,hostname=host_" + strconv.Itoa(number) +
		",region=" + regions[region] +
		",datacenter=" + regions[region] + string(zone) +
		",rack=" + strconv.Itoa(int(r.below(100))) +
		",os=" + pick(r, []string{"Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"}) +
		",arch=" + pick(r, []string{"x64", "x86"}) +
		",team=" + pick(r, []string{"SF", "NYC", "LON", "CHI"}) +
		",service=" + strconv.Itoa(int(r.below(20))) +
		",service_version=" + strconv.Itoa(int(r.below(2))) +
		",service_environment=" + pick(r, []string{"production", "staging", "test"}) + " "
}
