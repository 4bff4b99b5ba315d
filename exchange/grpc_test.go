package exchange_test

import (
	"errors"
	"testing"
	"time"

	"gopura/exchange"
)

func TestGRPCCodes(t *testing.T) {
	for c := exchange.GRPCOK; c <= exchange.GRPCUnauthenticated; c++ {
		if got, ok := exchange.ParseGRPCCode(c.String()); !ok || got != c {
			t.Errorf("%s read as %v", c, got)
		}
	}
	if c := exchange.GRPCCode(99); c.String() != "CODE_99" || c.HTTPStatus() != 500 {
		t.Error(c, c.HTTPStatus())
	}
	for value, want := range map[string]exchange.GRPCCode{
		"0": 0, "14": exchange.GRPCUnavailable, "42": 42, "": exchange.GRPCUnknown, "x": exchange.GRPCUnknown,
		"-1": exchange.GRPCUnknown, "256": exchange.GRPCUnknown, "99999999999999999999": exchange.GRPCUnknown,
	} {
		if got := exchange.ParseGRPCStatus([]byte(value)); got != want {
			t.Errorf("grpc-status %q is %v, want %v", value, got, want)
		}
	}
	if exchange.GRPCFromHTTP(404) != exchange.GRPCUnimplemented || exchange.GRPCFromHTTP(200) != exchange.GRPCUnknown {
		t.Error("http-grpc-status-mapping.md")
	}
}

// Every failure of the gateway has a gRPC code that is not OK.
func TestGRPCCodeOfErrors(t *testing.T) {
	for _, c := range exchange.Codes {
		if got := c.Because(nil).GRPC(); got == exchange.GRPCOK || got == exchange.GRPCUnknown {
			t.Errorf("%s (%d) is %s", c.Name, c.Status, got)
		}
	}
	for code, want := range map[*exchange.Code]exchange.GRPCCode{
		exchange.ExchangeTimeout: exchange.GRPCDeadlineExceeded, exchange.RateLimited: exchange.GRPCResourceExhausted,
		exchange.NoRoute: exchange.GRPCUnimplemented, exchange.ConnectTimeout: exchange.GRPCUnavailable,
		exchange.IdentityRequired: exchange.GRPCUnauthenticated, exchange.ClientGone: exchange.GRPCCancelled,
	} {
		if got := code.Because(errors.New("x")).GRPC(); got != want {
			t.Errorf("%s is %s, want %s", code.Name, got, want)
		}
	}
}

func TestIsGRPC(t *testing.T) {
	for value, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "Application/GRPC; charset=utf-8": true,
		"application/grpc-web": false, "application/grpc-web+proto": false, "application/grp": false, "application/json": false, "": false,
	} {
		if exchange.IsGRPC([]byte(value)) != want {
			t.Errorf("%q: want %v", value, want)
		}
	}
}

func TestGRPCMessage(t *testing.T) {
	for message, want := range map[string]string{
		"no such product": "no such product", "50%": "50%25", "zwölf": "zw%C3%B6lf", "a\nb": "a%0Ab", "": "",
	} {
		got := string(exchange.AppendGRPCMessage(nil, message))
		if got != want || exchange.ParseGRPCMessage([]byte(got)) != message {
			t.Errorf("%q became %q", message, got)
		}
	}
	if got := exchange.ParseGRPCMessage([]byte("%zz %4")); got != "%zz %4" {
		t.Error(got)
	}
}

func TestGRPCTimeout(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1S": time.Second, "100m": 100 * time.Millisecond, "7u": 7 * time.Microsecond, "00000001n": 1,
		"2M": 2 * time.Minute, "3H": 3 * time.Hour, "99999999H": 1<<63 - 1, "0S": 0,
	} {
		if got, ok := exchange.ParseGRPCTimeout([]byte(value)); !ok || got != want {
			t.Errorf("%s is %v, %v", value, got, ok)
		}
	}
	for _, value := range []string{"", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S"} {
		if got, ok := exchange.ParseGRPCTimeout([]byte(value)); ok {
			t.Errorf("%q is %v", value, got)
		}
	}
	for d, want := range map[time.Duration]string{
		1: "1n", 99999999: "99999999n", 100000000: "100000u", time.Second: "1000000u", time.Minute: "60000000u",
		100*time.Second + 1: "100001m", 48 * time.Hour: "172800S", 1<<63 - 1: "2562048H", -5: "1n",
	} {
		if got := string(exchange.AppendGRPCTimeout(nil, d)); got != want {
			t.Errorf("%v became %s, want %s", d, got, want)
		}
	}
}

func FuzzGRPCTimeout(f *testing.F) {
	for _, s := range []string{"1S", "99999999H", "0n", "12x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := exchange.ParseGRPCTimeout(b)
		if !ok || d < 1 {
			return
		}
		again, ok := exchange.ParseGRPCTimeout(exchange.AppendGRPCTimeout(nil, d))
		if !ok || again < d {
			t.Errorf("%q: %v shrank to %v", b, d, again)
		}
	})
}
