package exchange

// DottedPath reports whether an encoded path has a segment that is . or .. in any spelling:
// what it names depends on who reads it. A slash may be encoded, too: there are
// services that decode it before they look for dots.
func DottedPath(path []byte) bool {
	dots := 0 // of the segment so far; -1: something else is in it
	for i := 0; i < len(path); {
		c, n := path[i], 1
		if c == '%' && i+2 < len(path) {
			switch low := path[i+2] | 0x20; {
			case path[i+1] == '2' && low == 'e':
				c, n = '.', 3
			case path[i+1] == '2' && low == 'f', path[i+1] == '5' && low == 'c':
				c, n = '/', 3
			}
		}
		i += n
		switch {
		case c == '/':
			if dots == 1 || dots == 2 {
				return true
			}
			dots = 0
		case c == '.' && dots >= 0:
			dots++
		default:
			dots = -1
		}
	}
	return dots == 1 || dots == 2
}
