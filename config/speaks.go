package config

// RouteSpeaks is which protocols the clients of a route to gRPC services may
// speak.
type RouteSpeaks struct {
	Pos        Pos      `yaml:"-"`
	Protocols  []string `yaml:"protocols" short:"true" one:"true" enum:"grpc,grpc-web,connect" default:"grpc,grpc-web,connect" doc:"grpc passes as it is; grpc-web and connect are turned into it. What is left out is not turned into anything."`
	MaxMessage Size     `yaml:"max_message" default:"4MiB" min:"1" max:"256MiB" doc:"The largest message of a call by Connect, decompressed; that of gRPC-Web passes as it comes. The policy max_message counts all."`
}

// Check is the rule of the protocols.
func (s *RouteSpeaks) Check(at *At) {
	if len(s.Protocols) == 0 {
		at.Problem("protocols", "names no protocol")
	}
}
