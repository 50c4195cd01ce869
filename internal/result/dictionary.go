package result

import (
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// dictionary is the values of a column that differ, and each row's place among
// them. It keeps its memory from column to column.
type dictionary struct {
	distinct []uint64 // bits of numbers, in the order in which they came
	slots    []int32  // hash table of their places + 1, at most half full; 0: free
	index    []int32  // of each row
}

// maxDistinct is how many values a dictionary has at most: their page is to fit a
// core's cache.
const maxDistinct = 64 << 10

// suits says whether so few of a column's numbers differ that places take less
// than they do. Some of the rows tell.
func (d *dictionary) suits(v *Values) bool {
	const some = 2048
	sample := Values{Type: v.Type}
	stride := max(max(len(v.Floats), len(v.Ints))/some, 1)
	for i := 0; i < len(v.Floats); i += stride {
		sample.Floats = append(sample.Floats, v.Floats[i])
	}
	for i := 0; i < len(v.Ints); i += stride {
		sample.Ints = append(sample.Ints, v.Ints[i])
	}
	n := len(sample.Floats) + len(sample.Ints)
	return (v.Type == Float || v.Type == Int) && n > 0 && d.of(&sample) && len(d.distinct) <= n-n/8
}

// of fills the dictionary of a column that has no null, and says whether its
// values fit. Of NaN there may be several, which Parquet libraries take for one.
func (d *dictionary) of(v *Values) bool {
	d.index, d.distinct = d.index[:0], d.distinct[:0]
	clear(d.slots)
	if v.Null != nil {
		return false
	}
	for _, x := range v.Ints {
		if len(d.distinct) > maxDistinct {
			return false
		}
		d.add(uint64(x))
	}
	for _, x := range v.Floats {
		if x != x || len(d.distinct) > maxDistinct {
			return false
		}
		d.add(math.Float64bits(x))
	}
	return true
}

// array gives the values that differ.
func (d *dictionary) array(t Type) arrow.Array {
	if t == Float {
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		defer b.Release()
		for _, x := range d.distinct {
			b.Append(math.Float64frombits(x))
		}
		return b.NewArray()
	}
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	for _, x := range d.distinct {
		b.Append(int64(x))
	}
	return b.NewArray()
}

// add appends a row.
func (d *dictionary) add(x uint64) {
	if 2*len(d.distinct) >= len(d.slots) {
		d.grow()
	}
	mask := uint64(len(d.slots) - 1)
	for at := hash(x) >> (64 - bits.Len64(mask)); ; at = (at + 1) & mask {
		switch place := d.slots[at] - 1; {
		case place < 0:
			d.distinct = append(d.distinct, x)
			d.slots[at] = int32(len(d.distinct))
			d.index = append(d.index, int32(len(d.distinct)-1))
			return
		case d.distinct[place] == x:
			d.index = append(d.index, place)
			return
		}
	}
}

// hash is Fibonacci hashing: the upper bits count.
func hash(x uint64) uint64 { return (x ^ x>>32) * 0x9e3779b97f4a7c15 }

// grow doubles the table.
func (d *dictionary) grow() {
	d.slots = make([]int32, max(2*len(d.slots), 1<<10))
	mask := uint64(len(d.slots) - 1)
	for place, x := range d.distinct {
		at := hash(x) >> (64 - bits.Len64(mask))
		for d.slots[at] != 0 {
			at = (at + 1) & mask
		}
		d.slots[at] = int32(place + 1)
	}
}

// textDictionary gives the texts of a column that differ, and each row's place
// among them, so that no text is looked up for each row that has it.
func textDictionary(v *Values) (distinct arrow.Array, index []int32) {
	places, b, known := make([]int32, len(v.Texts)), array.NewStringBuilder(memory.DefaultAllocator), map[string]int32{}
	defer b.Release()
	for i, text := range v.Texts {
		place, ok := known[text]
		if !ok {
			place = int32(b.Len())
			known[text] = place
			b.Append(text)
		}
		places[i] = place
	}
	index = v.Index
	if len(known) < len(v.Texts) {
		index = make([]int32, len(v.Index))
		for i, at := range v.Index {
			index[i] = places[at]
		}
	}
	return b.NewArray(), index
}

// dictionaryWriter is a column chunk that may be written by places.
type dictionaryWriter interface {
	file.ColumnChunkWriter
	WriteDictIndices(indices arrow.Array, defLevels, repLevels []int16) error
}

// dictionaryEncoder takes what differs before the places come.
type dictionaryEncoder interface {
	PutDictionary(distinct arrow.Array) error
}

// writePlaces writes a column by places, where the file's properties give it a
// dictionary. It lets go of distinct.
func writePlaces(chunk dictionaryWriter, distinct arrow.Array, index []int32, null []bool, present []int16) error {
	defer distinct.Release()
	if err := chunk.CurrentEncoder().(dictionaryEncoder).PutDictionary(distinct); err != nil {
		return err
	}
	places := arrayOf(index, null)
	defer places.Release()
	return chunk.WriteDictIndices(places, present, nil)
}

// arrayOf gives places as an array. Without nulls it is a view of them.
func arrayOf(index []int32, null []bool) arrow.Array {
	if null == nil {
		data := array.NewData(arrow.PrimitiveTypes.Int32, len(index),
			[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(index))}, nil, 0, 0)
		defer data.Release()
		return array.NewInt32Data(data)
	}
	valid := make([]bool, len(null))
	for i, isNull := range null {
		valid[i] = !isNull
	}
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(index, valid)
	return b.NewArray()
}
