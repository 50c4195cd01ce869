package block

import "testing"

func BenchmarkResidues(b *testing.B) {
	for _, s := range nab(b)[:9] {
		var k residueCoder
		d, _ := chooseDecimals(s.bits, study)
		body := k.appendResidues(nil, s.bits, d)
		benchmarkRun(b, s, body, func() {
			d, _ := chooseDecimals(s.bits, study)
			body = k.appendResidues(body[:0], s.bits, d)
		}, k.readResidues)
	}
}

func BenchmarkDictionary(b *testing.B) {
	for _, s := range ett(b) {
		var k dictionaryCoder
		body, ok := k.appendDictionary(nil, s.bits, repeatsSmall)
		if !ok {
			b.Fatal("no dictionary")
		}
		benchmarkRun(b, s, body, func() { body, _ = k.appendDictionary(body[:0], s.bits, repeatsSmall) }, k.readDictionary)
	}
}

// benchmarkRun measures one form of one run.
func benchmarkRun(b *testing.B, s column, body []byte, write func(), read func(*cursor, []uint64)) {
	report := func(b *testing.B) {
		b.ReportMetric(float64(len(body))/float64(len(s.bits)), "B/value")
		b.ReportMetric(float64(b.N)*float64(len(s.bits))/b.Elapsed().Seconds()/1e6, "Mvalues/s")
	}
	b.Run("encode/"+s.name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			write()
		}
		report(b)
	})
	out := make([]uint64, len(s.bits))
	b.Run("decode/"+s.name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := &cursor{data: body}
			if read(c, out); !c.done() {
				b.Fatal("does not read back")
			}
		}
		report(b)
	})
}

// BenchmarkPublic measures the public data sets, a block each.
func BenchmarkPublic(b *testing.B) {
	for _, set := range []struct {
		name    string
		columns []column
	}{{"NAB", nab(b)}, {"ETTh1", ett(b)}} {
		batch := batchOf(set.columns...)
		run := func(name string, body []byte, step func() error) {
			b.Run(name+"/"+set.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := step(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(body))/float64(batch.Samples()), "B/value")
				b.ReportMetric(float64(b.N)*float64(batch.Samples())/b.Elapsed().Seconds()/1e6, "Mvalues/s")
			})
		}
		fast, err := Encode(nil, batch)
		if err != nil {
			b.Fatal(err)
		}
		small, err := EncodeSmall(nil, batch)
		if err != nil {
			b.Fatal(err)
		}
		var out []byte
		var back Batch
		run("encode", fast, func() (err error) { out, err = Encode(out[:0], batch); return err })
		run("encodesmall", small, func() (err error) { out, err = EncodeSmall(out[:0], batch); return err })
		run("decode", fast, func() error { return Decode(&back, fast) })
		run("decodesmall", small, func() error { return Decode(&back, small) })
	}
}
