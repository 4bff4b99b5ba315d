package gopura_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The wall clock jumps: it is set, by hand or by NTP. Timeouts, limits, breakers,
// health and pauses are measured by the monotonic clock that a time.Time carries
// along, which is lost where a time becomes a number. Here is where that happens,
// and why it may.
var wallClock = map[string]string{
	"store/calendar.go":         "quotas of days and months are the calendar's",
	"store/store.go":            "windows begin at round times, the same in all gateways",
	"store/rolling.go":          "windows begin at round times, the same in all gateways",
	"store/script.go":           "the calendar's, in Redis",
	"store/redis_link.go":       "what Redis' clock is ahead of ours",
	"gateway/announced.go":      "how often the log complains",
	"gateway/debug_token.go":    "the token says until when it is good",
	"gateway/certificates.go":   "a metric",
	"gateway/audit.go":          "a budget of records for each second that the log shows",
	"exchange/date.go":          "the field Date",
	"identity/oidc_session.go":  "a session says until when it is good",
	"identity/oidc_issuer.go":   "a session says until when it is good",
	"identity/oidc_login.go":    "a login says until when it may end",
	"identity/hmac.go":          "a signature says when it was made",
	"identity/replay.go":        "until when a signature could be shown again",
	"identity/ext_authz_ask.go": "a time that is told",
	"identity/mtls.go":          "a time that is told",
	"identity/jwks_stats.go":    "a metric",
	"identity/call.go":          "an answer says until when it is good",
	"identity/token_claims.go":  "a token says until when it is good",
	"transcode/decode_known.go": "Timestamps of messages",
	"transcode/encode_known.go": "Timestamps of messages",
	"certs/acme_storage.go":     "what other gateways read",
}

var loses = regexp.MustCompile(`\.(Unix|UnixNano|UnixMilli|UnixMicro)\(\)|\btime\.Unix(Milli|Micro)?\(|\.Round\(0\)`)

func TestTimesKeepTheirMonotonicClock(t *testing.T) {
	used := map[string]bool{}
	for _, dir := range strings.Fields("exchange h1 h2 h3 semantics upstream store policy compose transcode identity certs cache gateway lifetime handover") {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text = bytes.ReplaceAll(text, []byte("time.Unix(1, 0)"), nil) // a deadline in the past
			if at := loses.FindIndex(text); at != nil {
				used[f] = true
				if wallClock[f] == "" {
					t.Errorf("%s:%d: %s: a time without its monotonic clock: does it matter that it jumps?", f, 1+strings.Count(string(text[:at[0]]), "\n"), text[at[0]:at[1]])
				}
			}
		}
	}
	for f := range wallClock {
		if !used[f] {
			t.Errorf("%s does nothing of that kind any more", f)
		}
	}
}
