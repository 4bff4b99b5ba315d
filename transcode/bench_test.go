package transcode

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

const benchProduct = `{"id":"tea-01","name":"Assam second flush, malty, from the Brahmaputra valley","price":{"currency":"INR","units":"450","nanos":500000000},"stock":"1200","tags":["black","assam","loose leaf"]}`

// The codec beside dynamicpb with protojson, which it takes the place of.
func BenchmarkToWire(b *testing.B) {
	s := testSchema(b, "shop.proto")
	m := messageOf(b, s, "shop.v1.Product")
	c := NewCodec(s, JSONOptions{}, Limits{})
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			var err error
			if buf, err = c.AppendWire(buf[:0], m, []byte(benchProduct)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protojson", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			msg := dynamicpb.NewMessage(m.desc)
			if err := protojson.Unmarshal([]byte(benchProduct), msg); err != nil {
				b.Fatal(err)
			}
			buf, _ = proto.MarshalOptions{}.MarshalAppend(buf[:0], msg)
		}
	})
}

func BenchmarkToJSON(b *testing.B) {
	s := testSchema(b, "shop.proto")
	m := messageOf(b, s, "shop.v1.Product")
	c := NewCodec(s, JSONOptions{}, Limits{})
	wire, err := c.AppendWire(nil, m, []byte(benchProduct))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			if buf, err = c.AppendJSON(buf[:0], m, wire); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protojson", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			msg := dynamicpb.NewMessage(m.desc)
			if err := proto.Unmarshal(wire, msg); err != nil {
				b.Fatal(err)
			}
			buf, _ = protojson.MarshalOptions{}.MarshalAppend(buf[:0], msg)
		}
	})
}
