package gateway

import (
	"testing"
	"time"
)

// A flood of refusals costs a bounded number of lines, and the next line says
// how many are missing.
func TestAuditsAreBounded(t *testing.T) {
	var a audits
	now := time.Unix(1000, 0)
	logged := 0
	for range 1000 {
		if ok, _ := a.pass(now); ok {
			logged++
		}
	}
	if logged != maxAudits {
		t.Errorf("%d of 1000 logged", logged)
	}
	if ok, skipped := a.pass(now.Add(time.Second)); !ok || skipped != 1000-maxAudits {
		t.Errorf("then %v, %d skipped", ok, skipped)
	}
}
