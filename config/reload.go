package config

// Reload is what happens after a new configuration has come into force.
type Reload struct {
	Pos      Pos           `yaml:"-"`
	Rollback *RollbackRule `yaml:"rollback" words:"on,off" doc:"Put the configuration before in force again when errors jump after a reload. Left out: don't."`
}

// RollbackRule is when a new configuration is taken back. It reads: roll back when
// errors are above 10% within 30s of at least 50 requests.
type RollbackRule struct {
	Pos     Pos      `yaml:"-"`
	Errors  Percent  `yaml:"errors_above" short:"true" default:"10%" min:"1%" max:"100%" doc:"The part of the requests that may fail: 5xx, and what the gateway refuses, but for limits. It must also be twice what it was before the reload."`
	Within  Duration `yaml:"within" default:"30s" min:"5s" max:"10m" doc:"How long a new configuration is on trial."`
	Minimum int      `yaml:"of_at_least" default:"50" min:"1" doc:"Requests before it is judged."`
}
