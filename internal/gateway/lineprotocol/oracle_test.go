package lineprotocol

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/klauspost/compress/zstd"

	"weir/internal/sample"
)

// byOracle decodes a line as InfluxData's own decoder does, and maps it to
// series as docs/formats/intake.md says.
func byOracle(line []byte) (emitted []string, err error) {
	d := oracle.NewDecoderWithBytes(line)
	for d.Next() {
		measurement, err := d.Measurement()
		if err != nil {
			return nil, err
		}
		var tags []sample.Tag
		for {
			name, text, err := d.NextTag()
			if err != nil {
				return nil, err
			}
			if name == nil {
				break
			}
			tags = append(tags, sample.Tag{Name: string(name), Value: string(text)})
		}
		var series, values []string
		for {
			name, v, err := d.NextField()
			if err != nil {
				return nil, err
			}
			if name == nil {
				break
			}
			metric := string(measurement)
			if string(name) != "value" {
				metric += "_" + string(name)
			}
			s, err := sample.NewSeries(metric, slices.Clone(tags))
			if err != nil {
				return nil, err
			}
			text, err := oracleText(v)
			if err != nil {
				return nil, err
			}
			series, values = append(series, s.String()), append(values, text)
		}
		if len(series) == 0 {
			return nil, errors.New("a line without fields")
		}
		at, err := d.Time(oracle.Nanosecond, time.Unix(0, now))
		if err != nil {
			return nil, err
		}
		for i := range series {
			emitted = append(emitted, fmt.Sprintf("%s %s @%d", series[i], values[i], at.UnixNano()))
		}
	}
	return emitted, nil
}

func oracleText(v oracle.Value) (string, error) {
	switch v.Kind() {
	case oracle.Int:
		return strconv.FormatInt(v.IntV(), 10) + "i", nil
	case oracle.Uint:
		if v.UintV() > math.MaxInt64 {
			return "", errors.New("past int64")
		}
		return strconv.FormatUint(v.UintV(), 10) + "i", nil
	case oracle.Float:
		return valueText(sample.FloatValue(v.FloatV())), nil
	case oracle.Bool:
		return strconv.FormatBool(v.BoolV()), nil
	}
	return strconv.Quote(v.StringV()), nil
}

// differs says whether Weir and InfluxData's decoder are meant to differ on a
// body: each case is listed in docs/formats/intake.md.
func differs(body []byte) bool {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")): // Weir drops a byte order mark
	case bytes.ContainsAny(body, "#"): // Weir lets a comment say anything
	case bytes.Contains(body, []byte(`\n`)), bytes.Contains(body, []byte(`\r`)), bytes.Contains(body, []byte(`\t`)):
		// The oracle takes these for control characters in strings, InfluxDB
		// does not.
	case !utf8.Valid(body): // Weir looks at names with their escapes
	default:
		return false
	}
	return true
}

// FuzzDecode checks on any body that no decoder panics, that the same body
// gives the same on a warm decoder, and that it means what InfluxData's decoder
// says, or is refused by both.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"cpu,host=a,region=b usage_user=58i,usage_system=2.5,up=t,s=\"x\\\"y\" 1767571200000000000\n",
		"m f=1\nm f=2 7\r\n\n", "m,a\\ b=c\\,d f\\=g=1e3 -5", "m f=\"a\nb\" 7\nn f=1u", "m,a=1,a=2 f=1", "m f=1,f=2 9223372036854775808",
		"m a=123456789012345678901234567890,b=0.1234567890123456789,c=1e400", "m f=-.5e-3 7 8", "\ufeffm f=1", "# c\nm f=\"\\\\\\\"\"", "m f=0_0",
	} {
		f.Add([]byte(seed))
	}
	warm := New(bySeries, Options{CacheHeads: 64})
	f.Fuzz(func(t *testing.T, body []byte) {
		cold := decode(string(body), Nanosecond, Options{})
		again := new(collector)
		warm.Decode(body, Nanosecond, now, again)
		twice := new(collector)
		warm.Decode(body, Nanosecond, now, twice)
		if diff := cmp.Diff(cold.emitted, again.emitted) + cmp.Diff(cold.rejected, again.rejected) +
			cmp.Diff(cold.emitted, twice.emitted) + cmp.Diff(cold.rejected, twice.rejected); diff != "" {
			t.Fatalf("%q on a warm decoder differs:\n%s", body, diff)
		}
		if differs(body) {
			return
		}
		want, err := byOracle(body)
		switch {
		case len(cold.rejected) == 0 && err == nil:
			if diff := cmp.Diff(want, cold.emitted); diff != "" {
				t.Fatalf("%q (-oracle +weir):\n%s", body, diff)
			}
		case err == nil && !deliberate(cold.rejected):
			t.Fatalf("%q: the oracle gives %q; Weir rejects %q", body, want, cold.rejected)
		case len(cold.rejected) == 0:
			t.Fatalf("%q: the oracle says %v; Weir gives %q", body, err, cold.emitted)
		}
	})
}

// underscored is what Weir says of a number such as 0_0.
var underscored = regexp.MustCompile(`has the value "[0-9.eE+_-]*_[0-9.eE+_-]*[iu]?", which is no number`)

// deliberate says whether all that was rejected is what only Weir refuses.
func deliberate(rejected []string) bool {
	for _, r := range rejected {
		if !strings.Contains(r, "is given twice") && !strings.Contains(r, "the limit is") && !underscored.MatchString(r) {
			return false
		}
	}
	return true
}

const tsbs = "../../../../shared/data/tsbs/cpu-only-200x2h.lp.zst"

func TestDecodeAgreesOnTSBS(t *testing.T) {
	body := tsbsBody(t)
	lines := 5000
	if testing.Short() {
		lines = 1000
	}
	end := 0
	for range lines {
		end += bytes.IndexByte(body[end:], '\n') + 1
	}
	body = body[:end]
	want, err := byOracle(body)
	if err != nil {
		t.Fatal(err)
	}
	got := decode(string(body), Nanosecond, Options{})
	if len(got.emitted) != 10*lines || len(got.rejected) > 0 || !slices.Equal(want, got.emitted) {
		t.Fatalf("of %d lines %d values came, as the oracle gives them: %v; rejected: %.3q", lines, len(got.emitted), slices.Equal(want, got.emitted), got.rejected)
	}
}

// tsbsBody unpacks the TSBS data; it skips where the data is not at hand.
func tsbsBody(t testing.TB) []byte {
	packed, err := os.ReadFile(tsbs)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the TSBS data is not at hand: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	body, err := z.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
