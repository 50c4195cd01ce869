package block

import "testing"

// FuzzDecode reads bytes as they are, then with the checksum that they ought
// to have, so that what stands behind the checksum is reached too.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	for _, body := range bodies(f) {
		f.Add(body)
		f.Add(body[:len(body)-checksum])
	}
	for _, spoil := range forgeries {
		l := forgeable(f)
		spoil(l)
		if body := rebuild(l); len(body) < 1<<12 {
			f.Add(body[:len(body)-checksum])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		checkAny(t, body)
		checkAny(t, seal(body))
	})
}

// FuzzSection puts bytes in the place of one section, unpacked, so that the
// fuzzer needs not guess zstd frames and lengths.
func FuzzSection(f *testing.F) {
	for i := range sections {
		f.Add(uint64(2), i, []byte{0, 1, 2, 0, 3})
	}
	f.Fuzz(func(t *testing.T, seed uint64, i int, raw []byte) {
		if i < 0 || i >= sections {
			return
		}
		l, err := parse(mustEncode(t, wideModel(seed, 20)))
		if err != nil {
			t.Fatal(err)
		}
		l.put(i, raw...)
		checkAny(t, rebuild(l))
	})
}
