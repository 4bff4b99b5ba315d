package main

import (
	"slices"
	"time"
)

// series is one measure of the samples.
type series struct {
	name  string
	unit  string
	scale float64 // of the unit
	of    func(sample) float64
	floor float64 // a drift below it is none, whatever the median
}

var measures = []series{
	{"RSS", "MiB", 1 << 20, func(s sample) float64 { return s.rss }, 6 << 20},
	{"heap in use", "MiB", 1 << 20, func(s sample) float64 { return s.heap }, 4 << 20},
	{"goroutines", "", 1, func(s sample) float64 { return s.goroutines }, 20},
	{"descriptors", "", 1, func(s sample) float64 { return s.descriptors }, 20},
	{"client connections", "", 1, func(s sample) float64 { return s.connections }, 10},
	{"retiring configurations", "", 1, func(s sample) float64 { return s.retiring }, 3},
}

const (
	share       = 0.20            // of the median: more drift is not flat
	mostWarm    = 2 * time.Minute // a quarter of a life, at the most
	leastJudged = time.Minute     // of one process: less says nothing
	mostPairs   = 400             // samples of a process that are compared, evenly spread
)

// verdict is what came of one measure.
type verdict struct {
	series
	median, most float64
	drift        float64       // over the time that was measured of one process
	over         time.Duration // the longest
	judged       bool
}

func (v verdict) limit() float64 { return max(share*v.median, v.floor) }
func (v verdict) flat() bool     { return !v.judged || v.drift <= v.limit() }

// judge looks at one measure.
func judge(m series, samples []sample) verdict {
	v := verdict{series: m}
	var values, slopes []float64
	for _, life := range lives(samples) {
		warm := life[len(life)-1].at.Sub(life[0].at) / 4
		from := life[0].at.Add(min(warm, mostWarm))
		for len(life) > 0 && life[0].at.Before(from) {
			life = life[1:]
		}
		if len(life) < 2 {
			continue
		}
		for _, s := range life {
			values = append(values, m.of(s))
		}
		if over := life[len(life)-1].at.Sub(life[0].at); over >= leastJudged {
			v.judged, v.over = true, max(v.over, over)
			slopes = appendSlopes(slopes, m, life)
		}
	}
	v.median = median(values)
	if len(values) > 0 {
		v.most = slices.Max(values)
	}
	v.drift = median(slopes) * v.over.Seconds()
	return v
}

// appendSlopes adds what each pair of samples says of the growth in a second.
func appendSlopes(slopes []float64, m series, life []sample) []float64 {
	step := (len(life) + mostPairs - 1) / mostPairs
	for i := 0; i < len(life); i += step {
		for j := i + step; j < len(life); j += step {
			slopes = append(slopes, (m.of(life[j])-m.of(life[i]))/life[j].at.Sub(life[i].at).Seconds())
		}
	}
	return slopes
}

// lives divides the samples by process.
func lives(samples []sample) (all [][]sample) {
	for begin := 0; begin < len(samples); {
		end := begin
		for end < len(samples) && samples[end].pid == samples[begin].pid {
			end++
		}
		all = append(all, samples[begin:end])
		begin = end
	}
	return all
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
