package telemetry

import (
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// A gRPC call's record says how it ended; others have no such member.
func TestGRPCStatusInRecords(t *testing.T) {
	x := &exchange.Exchange{}
	x.Reset()
	var r record
	r.json(x, time.Now())
	r.text(x, time.Now())
	if strings.Contains(string(r.line), "grpc_status") {
		t.Errorf("%s", r.line)
	}
	var tail exchange.Header
	tail.Add("Grpc-Status", "5")
	x.EndGRPC(&tail)
	r.line = nil
	r.json(x, time.Now())
	r.text(x, time.Now())
	if got := string(r.line); !strings.Contains(got, `"grpc_status":"NOT_FOUND"}`) || !strings.Contains(got, " grpc_status=NOT_FOUND\n") {
		t.Error(got)
	}
}
