package transcode

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gopura/exchange"
)

// AnswerReflection appends the answer to one question of server reflection, v1
// or v1alpha, which differ in their name only. More names services beside those
// of the schema.
func (s *Schema) AnswerReflection(dst, question []byte, more ...string) ([]byte, error) {
	dst = protowire.AppendBytes(protowire.AppendTag(dst, 2, protowire.BytesType), question)
	number, text := protowire.Number(0), ""
	err := eachBytes(question, func(n protowire.Number, v []byte) error {
		if n != 1 { // the host
			number, text = n, string(v)
		}
		return nil
	})
	if err != nil {
		return dst, err
	}
	var file protoreflect.FileDescriptor
	switch number {
	case 3:
		file, err = s.files.FindFileByPath(text)
	case 4:
		var d protoreflect.Descriptor
		if d, err = s.files.FindDescriptorByName(protoreflect.FullName(text)); err == nil {
			file = d.ParentFile()
		}
	case 7:
		var list []byte
		for _, name := range append(s.Services(), more...) {
			one := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
			list = protowire.AppendBytes(protowire.AppendTag(list, 1, protowire.BytesType), one)
		}
		return protowire.AppendBytes(protowire.AppendTag(dst, 6, protowire.BytesType), list), nil
	default:
		return appendReflectionError(dst, exchange.GRPCUnimplemented, "only files, symbols and services are told"), nil
	}
	if err != nil {
		return appendReflectionError(dst, exchange.GRPCNotFound, "not found"), nil
	}
	b, err := proto.Marshal(protodesc.ToFileDescriptorProto(file))
	if err != nil {
		return dst, err
	}
	answer := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
	return protowire.AppendBytes(protowire.AppendTag(dst, 4, protowire.BytesType), answer), nil
}

func appendReflectionError(dst []byte, code exchange.GRPCCode, text string) []byte {
	e := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(code))
	e = protowire.AppendString(protowire.AppendTag(e, 2, protowire.BytesType), text)
	return protowire.AppendBytes(protowire.AppendTag(dst, 7, protowire.BytesType), e)
}
