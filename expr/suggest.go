package expr

import "slices"

// suggest returns `did you mean x?` for the nearest of the known names, or "".
func suggest(name string, known []string) string {
	slices.Sort(known)
	best, at := "", len(name)/2+1
	if at > 3 {
		at = 3
	}
	for _, k := range known {
		if d := distance(name, k); d <= at && d < len(k) && (best == "" || d < at) {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// distance is the Levenshtein distance, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			up := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(up+1, row[j]+1, cost)
			diagonal = up
		}
	}
	return row[len(b)]
}
