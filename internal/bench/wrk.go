package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Load is what one run of wrk saw.
type Load struct {
	Requests int64
	Seconds  float64
	P50, P99 time.Duration
	Errors   int64 // socket errors, timeouts and answers of 400 and above
}

// PerSecond is the rate of finished requests.
func (l Load) PerSecond() float64 { return float64(l.Requests) / l.Seconds }

// runWrk puts load on url for some seconds.
func runWrk(ctx context.Context, program, url, script string, seconds int) (Load, error) {
	args := []string{"-t2", "-c" + strconv.Itoa(connections), "-d" + strconv.Itoa(seconds) + "s", "--timeout", "5s", "--latency"}
	if script != "" {
		args = append(args, "-s", script)
	}
	cmd := exec.CommandContext(ctx, program, append(args, url)...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return Load{}, context.Cause(ctx)
	}
	if err != nil {
		return Load{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	return parseWrk(string(out))
}

// parseWrk reads the report of `wrk --latency`.
func parseWrk(report string) (Load, error) {
	var l Load
	lines := bufio.NewScanner(strings.NewReader(report))
	for lines.Scan() {
		if err := l.line(strings.TrimSpace(lines.Text())); err != nil {
			return Load{}, fmt.Errorf("wrk: line %q: %w", lines.Text(), err)
		}
	}
	if l.Requests == 0 || l.Seconds == 0 || l.P99 == 0 {
		return Load{}, fmt.Errorf("wrk: no result in its report:\n%s", report)
	}
	return l, nil
}

func (l *Load) line(text string) (err error) {
	f := strings.Fields(text)
	switch {
	case len(f) == 2 && f[0] == "50%":
		l.P50, err = wrkTime(f[1])
	case len(f) == 2 && f[0] == "99%":
		l.P99, err = wrkTime(f[1])
	case len(f) >= 4 && f[1] == "requests" && f[2] == "in": // 123456 requests in 4.00s, 150.00MB read
		var d time.Duration
		if l.Requests, err = strconv.ParseInt(f[0], 10, 64); err == nil {
			d, err = wrkTime(strings.TrimSuffix(f[3], ","))
		}
		l.Seconds = d.Seconds()
	case strings.HasPrefix(text, "Socket errors:"): // connect 0, read 3, write 0, timeout 1
		for _, part := range strings.Split(strings.TrimPrefix(text, "Socket errors:"), ",") {
			err = l.addErrors(part)
			if err != nil {
				return err
			}
		}
	case strings.HasPrefix(text, "Non-2xx or 3xx responses:"):
		err = l.addErrors(text)
	}
	return err
}

// addErrors adds the number at the end of text.
func (l *Load) addErrors(text string) error {
	n, err := strconv.ParseInt(text[strings.LastIndexByte(text, ' ')+1:], 10, 64)
	l.Errors += n
	return err
}

// wrkTime reads 812.00us, 1.20ms, 4.00s, 1.00m and 1.00h: as Go writes them.
func wrkTime(s string) (time.Duration, error) { return time.ParseDuration(s) }
