package expr

import (
	"testing"
)

// What is promised to cost no allocation.
func TestFastPathsDoNotAllocate(t *testing.T) {
	env, x := newEnv(t), request()
	buf := make([]byte, 0, 256)
	for _, text := range []string{`client.ip`, `client.port`, `path.id`, `query.v`, `header["x-plan"]`, `cookie.b`, `request.method`, `jwt.sub`, `identity.sub`, `route`} {
		p := mustCompile(t, env, text, String)
		if n := testing.AllocsPerRun(100, func() { p.Append(buf, x) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
	for place, text := range map[Place]string{
		Header: `{client.ip}; plan={header["x-plan"]}`, Path: "/v2/{path.id}?q={query.v}&ip={client.ip}", URL: "https://{request.host}{request.path}?{request.query}",
	} {
		tpl, err := env.TemplateFor(text, place)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { tpl.Append(buf, x) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func BenchmarkBoolThreeTerms(b *testing.B) {
	env, x := newEnv(b), request()
	p := mustCompile(b, env, `request.method == "GET" && header["x-plan"] == "gold" && jwt.sub != ""`, Bool)
	if !p.bounded {
		b.Fatal("the cost is counted though it is bounded")
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.Bool(x); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// What counting costs: the same expression below and above the static bound.
func BenchmarkCounting(b *testing.B) {
	for name, limit := range map[string]uint64{"bounded": defaultLimit, "counted": 100} {
		b.Run(name, func(b *testing.B) {
			env, err := New(Options{CostLimit: limit})
			if err != nil {
				b.Fatal(err)
			}
			x := request()
			p := mustCompile(b, env, `request.method == "GET" && header["x-plan"].contains("old") && jwt.sub != ""`, Bool)
			if p.bounded != (name == "bounded") {
				b.Fatal("bounded:", p.bounded)
			}
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := p.Bool(x); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkInCIDR(b *testing.B) {
	env, x := newEnv(b), request()
	p := mustCompile(b, env, `client.ip.inCIDR("10.0.0.0/8")`, Bool)
	b.ReportAllocs()
	for b.Loop() {
		p.Bool(x)
	}
}

func BenchmarkFact(b *testing.B) {
	env, x := newEnv(b), request()
	p := mustCompile(b, env, `header["x-plan"]`, String)
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		p.Append(buf, x)
	}
}

func BenchmarkTemplate(b *testing.B) {
	env, x := newEnv(b), request()
	t, err := env.TemplateFor("/v2/{path.id}?q={query.v}", Path)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		t.Append(buf, x)
	}
}

func BenchmarkCompile(b *testing.B) {
	env := newEnv(b)
	b.ReportAllocs()
	for b.Loop() {
		env.Compile(`request.method == "GET" && header["x-plan"] == "gold" && jwt.sub != ""`, Bool)
	}
}
