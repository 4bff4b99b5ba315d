package certs

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing is left running, but for what certmagic never stops: a rate limiter for
// each authority and account, and the keeper of a lock file, who sleeps for five
// seconds before it sees that the file is gone.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}
