package route

// Order returns the rules of the table by their index, the most specific
// first: the order in which they are considered. A rule with several hosts has
// the place of its most specific one.
func (t *Table[T]) Order() []int {
	list := make([]int, 0, len(t.index.rules))
	seen := make(map[int]bool, len(t.index.rules))
	for i := range t.index.entries {
		if at := t.index.entries[i].index; !seen[at] {
			seen[at] = true
			list = append(list, at)
		}
	}
	return list
}
