package config

// Overload is how the gateway protects itself and the services from more
// requests than can be served.
type Overload struct {
	Pos   Pos      `yaml:"-"`
	Mode  string   `yaml:"mode" short:"true" enum:"enforce,adaptive,shadow,off" default:"adaptive" doc:"adaptive: refuse the least important first when the gateway itself is saturated, and when a service is proven to have more to do than it can; enforce: only the former; shadow: only count what adaptive would refuse; off: take all there is."`
	Delay Duration `yaml:"delay" default:"200ms" min:"1ms" max:"10s" doc:"The gateway is saturated when what is ready to run has to wait longer than that for a processor: one in ten does, all of the time."`
}

// ServiceOverload is how a service is protected from more requests than it can
// answer.
type ServiceOverload struct {
	Pos  Pos      `yaml:"-"`
	Mode string   `yaml:"mode" short:"true" enum:"adaptive,shadow,off" doc:"adaptive, shadow or off. Default: as overload of the whole file."`
	Min  int      `yaml:"min" default:"8" min:"1" max:"100000" doc:"Requests that may wait for the head of an answer at a time, whatever happens."`
	Wait Duration `yaml:"wait" default:"250ms" min:"1ms" max:"1m" doc:"How long a request may wait for a place among them before it is refused."`
}
