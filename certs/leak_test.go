package certs

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing is left running, but for certmagic's rate limiters: one for each
// authority and account, for the life of the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"))
}
