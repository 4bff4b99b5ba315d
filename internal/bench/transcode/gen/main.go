// Command gen writes package benchpb from bench.proto, with the plugins that a
// user of grpc-gateway runs.
package main

import (
	"bytes"
	"context"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"

	"gopura/transcode"
)

func main() {
	set, _, err := transcode.Compile(context.Background(), []string{"bench.proto"}, []string{"."})
	if err != nil {
		log.Fatal(err)
	}
	for _, plugin := range []string{
		"google.golang.org/protobuf/cmd/protoc-gen-go",
		"google.golang.org/grpc/cmd/protoc-gen-go-grpc",
		"github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway",
	} {
		in, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{FileToGenerate: []string{"bench.proto"}, Parameter: proto.String("paths=source_relative"), ProtoFile: set.File})
		if err != nil {
			log.Fatal(err)
		}
		cmd := exec.Command("go", "run", plugin)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
		b, err := cmd.Output()
		if err != nil {
			log.Fatalf("%s: %v", plugin, err)
		}
		out := new(pluginpb.CodeGeneratorResponse)
		if err := proto.Unmarshal(b, out); err != nil || out.Error != nil {
			log.Fatalf("%s: %v %s", plugin, err, out.GetError())
		}
		for _, f := range out.File {
			if err := os.WriteFile(filepath.Join("benchpb", filepath.Base(f.GetName())), []byte(f.GetContent()), 0o644); err != nil {
				log.Fatal(err)
			}
		}
	}
}
