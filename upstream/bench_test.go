package upstream

import (
	"fmt"
	"testing"

	"gopura/exchange"
)

func BenchmarkPick(b *testing.B) {
	for _, kind := range kinds {
		for _, n := range []int{3, 100} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				s := mustOpen(b, Settings{Targets: urls(n), Balance: Balance{Kind: kind}}, Options{Open: newFleet().open, Hash: clientKey})
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					x := request("GET", nil)
					client, id, cookie := x.Client, []byte("203.0.113.77"), "theme=dark; gopura_target="+s.targets[n-1].id
					for i := 0; pb.Next(); i++ {
						if i%8 == 0 { // the next exchange
							x.Reset()
							x.Client, x.ID = client, id
							x.Request.Header.Add("Cookie", cookie)
						}
						_, done, err := s.picker.Load().Pick(x)
						if err != nil {
							b.Fatal(err)
						}
						x.Response.Status = 200
						done(x, nil)
						x.Done()
					}
				})
			})
		}
	}
}

// BenchmarkServe is the whole way through a service, around an empty transport.
func BenchmarkServe(b *testing.B) {
	for name, set := range map[string]Settings{
		"plain":   {},
		"breaker": {Breaker: &Breaker{}, Retries: Retries{Attempts: 1, Budget: 0.2, Body: 64 << 10}},
	} {
		for _, body := range []string{"", "body"} {
			b.Run(name+body, func(b *testing.B) {
				set.Targets = urls(3)
				s := mustOpen(b, set, Options{Open: newFleet().open})
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					x := request("POST", nil)
					if body != "" {
						x.Request.Body = exchange.BytesBody([]byte(body))
					}
					for pb.Next() {
						if err := s.Serve(x); err != nil {
							b.Fatal(err)
						}
						x.Done()
					}
				})
			})
		}
	}
}

// BenchmarkChange is what a health change costs the control side.
func BenchmarkChange(b *testing.B) {
	for _, kind := range kinds {
		for _, n := range []int{3, 100} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				targets := urls(n)
				for i := range targets {
					targets[i].Weight = 1 + i
				}
				s := mustOpen(b, Settings{Targets: targets, Balance: Balance{Kind: kind}}, Options{Open: newFleet().open, Hash: clientKey})
				for b.Loop() {
					s.tick()
				}
			})
		}
	}
}

func BenchmarkMaglevBuild(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				newMaglev(fakeMembers(n))
			}
		})
	}
}

// BenchmarkLimiter is what protection from overload costs a request.
func BenchmarkLimiter(b *testing.B) {
	for name, o := range map[string]Overload{"off": {}, "on": {Mode: OverloadAdaptive}} {
		b.Run(name, func(b *testing.B) {
			s := mustOpen(b, Settings{Targets: urls(3), Overload: o}, Options{Open: newFleet().open})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := request("GET", nil)
				for pb.Next() {
					if err := s.Serve(x); err != nil {
						b.Fatal(err)
					}
					x.Done()
				}
			})
		})
	}
}
