package gateway_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// The record of a tunnel says which limit has ended it.
func TestRecordsOfTunnels(t *testing.T) {
	service, _ := echo(t)
	log := filepath.Join(t.TempDir(), "access.log")
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: %s
limits: {tunnel_idle: 200ms}
services: {echo: "%s"}
routes:
  - {match: /quiet, to: echo}
  - {match: /idle, to: echo, websocket: {idle: 150ms}}
  - {match: /short, to: echo, websocket: {lifetime: 100ms}}
  - {match: /large, to: echo, websocket: {max_message: 10}}
  - {match: /ends, to: echo, websocket: {max_message: 10}}
`, log, service))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, c := range []struct {
		path, say string
		code      websocket.StatusCode
		record    string
	}{
		{"/quiet", "hello", -1, `"code":"tunnel_ended","side":"gateway"`},
		{"/idle", "hello", 1001, `"cause":"there was no message for too long"`},
		{"/short", "hello", 1001, `"cause":"its time is over"`},
		{"/large", "hello hello", 1009, `"code":"message_too_large","side":"client"`},
		{"/ends", "hello", 1000, `"code":""`},
	} {
		conn, _, err := websocket.Dial(ctx, "ws://"+g.Address("main")+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		conn.Write(ctx, websocket.MessageText, []byte(c.say))
		_, _, err = conn.Read(ctx)
		if err == nil && c.path == "/ends" {
			if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("%s: %v", c.path, err)
			}
		} else {
			for err == nil {
				_, _, err = conn.Read(ctx)
			}
			if got := websocket.CloseStatus(err); got != c.code || time.Since(begin) > 30*time.Second {
				t.Errorf("%s: %v after %v", c.path, err, time.Since(begin))
			}
		}
		conn.CloseNow()
		within(t, func() bool {
			b, _ := os.ReadFile(log)
			for line := range strings.Lines(string(b)) {
				if strings.Contains(line, `"path":"`+c.path+`"`) {
					if !strings.Contains(line, c.record) || !strings.Contains(line, `"status":101`) {
						t.Errorf("%s: %s", c.path, line)
					}
					return true
				}
			}
			return false
		})
	}
}
