package simulate

import "strconv"

// mobiles are phones: each has sessions, between which it is silent.
type mobiles struct {
	first  int
	states []mobile
	normal *normals
}

type mobile struct {
	steps    random
	awake    bool
	latency  float64 // ms
	battery  float64 // percent
	received uint64  // bytes
	tags     string
}

func newMobiles(c Config) devices {
	m := &mobiles{first: c.First, states: make([]mobile, c.Count), normal: newNormals()}
	for i := range m.states {
		tags, r := seeded(c.Seed, c.First+i, saltTags), seeded(c.Seed, c.First+i, saltStart)
		m.states[i] = mobile{
			steps: seeded(c.Seed, c.First+i, saltSteps), awake: r.below(4) == 0,
			latency: 20 + 80*r.unit(), battery: 100 * r.unit(),
			tags: ",network=" + pick(&tags, []string{"4g", "5g", "wifi"}) +
				",os=" + pick(&tags, []string{"android", "ios"}),
		}
	}
	return m
}

func (m *mobiles) line(dst []byte, device int, now moment) ([]byte, int) {
	c := &m.states[device]
	chance := c.steps.below(100)
	if c.awake && chance < 10 || !c.awake && chance < 3 {
		c.awake = !c.awake
	}
	if !c.awake {
		c.battery = min(c.battery+0.05, 100)
		return dst, 0
	}
	m.normal.source = c.steps
	c.latency = m.normal.walk(c.latency, 3, 5, 400)
	c.steps = m.normal.source
	c.battery = max(c.battery-0.1, 1)
	c.received += c.steps.below(2_000_000)

	dst = append(dst, "mobile,client=c"...)
	dst = appendPadded(dst, uint64(m.first+device+1), 7)
	dst = append(dst, c.tags...)
	dst = append(dst, " latency_ms="...)
	dst = strconv.AppendFloat(dst, c.latency, 'f', 1, 64)
	dst = append(dst, ",received_bytes="...)
	dst = strconv.AppendUint(dst, c.received, 10)
	dst = append(dst, "i,battery_percent="...)
	dst = strconv.AppendFloat(dst, c.battery, 'f', 0, 64)
	return appendStamp(dst, now), 3
}

// ads are advertising clients: what each interval brought, and the spend of
// the campaign so far.
type ads struct {
	first  int
	states []ad
}

type ad struct {
	steps random
	pull  uint64 // impressions an interval, at most
	spend uint64 // thousandths
	tags  string
}

func newAds(c Config) devices {
	a := &ads{first: c.First, states: make([]ad, c.Count)}
	for i := range a.states {
		tags, r := seeded(c.Seed, c.First+i, saltTags), seeded(c.Seed, c.First+i, saltStart)
		a.states[i] = ad{
			steps: seeded(c.Seed, c.First+i, saltSteps), pull: 5 + r.below(200),
			tags: ",campaign=k" + strconv.Itoa(int(tags.below(40)+1)) +
				",country=" + pick(&tags, []string{"BR", "DE", "FR", "IN", "JP", "US"}),
		}
	}
	return a
}

func (a *ads) line(dst []byte, device int, now moment) ([]byte, int) {
	c := &a.states[device]
	impressions := c.steps.below(c.pull)
	clicks := uint64(0)
	for range impressions / 8 {
		if c.steps.below(10) == 0 {
			clicks++
		}
	}
	c.spend += 2*impressions + 150*clicks

	dst = append(dst, "ad,client=a"...)
	dst = appendPadded(dst, uint64(a.first+device+1), 6)
	dst = append(dst, c.tags...)
	dst = append(dst, " impressions="...)
	dst = strconv.AppendUint(dst, impressions, 10)
	dst = append(dst, "i,clicks="...)
	dst = strconv.AppendUint(dst, clicks, 10)
	dst = append(dst, "i,spend="...)
	dst = strconv.AppendUint(dst, c.spend/1000, 10)
	dst = append(dst, '.')
	dst = appendPadded(dst, c.spend%1000, 3)
	return appendStamp(dst, now), 3
}
