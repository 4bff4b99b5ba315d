package main

import (
	"fmt"
	"strconv"
	"strings"
)

// render fills a configuration in: @NAME@ by values, and the lines between
// "#repeat N" and "#end" N times, with @N@ counted from 0.
func render(text string, values map[string]string) (string, error) {
	var out, block strings.Builder
	times := 0
	for line := range strings.Lines(text) {
		word, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "#repeat":
			n, err := strconv.Atoi(count)
			if err != nil || n < 1 || times > 0 {
				return "", fmt.Errorf("bad line %q", line)
			}
			times = n
		case word == "#end" && times > 0:
			for n := range times {
				out.WriteString(strings.ReplaceAll(block.String(), "@N@", strconv.Itoa(n)))
			}
			block.Reset()
			times = 0
		case times > 0:
			block.WriteString(line)
		default:
			out.WriteString(line)
		}
	}
	if times > 0 {
		return "", fmt.Errorf("#repeat without #end")
	}
	filled := out.String()
	for name, value := range values {
		filled = strings.ReplaceAll(filled, "@"+name+"@", value)
	}
	return filled, nil
}
