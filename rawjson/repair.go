package rawjson

// appendUnique appends v with one member of each name in each object: the
// first or the last, where it stands. Its memory is in proportion to the
// largest object; it is for documents that were found to have such members.
func appendUnique(dst []byte, v Value, keep Duplicates) []byte {
	switch v.Kind() {
	case Array:
		dst = append(dst, '[')
		for c := v.Walk(); c.Next(); {
			dst = comma(dst, '[')
			dst = appendUnique(dst, c.Value, keep)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		at := map[string]int{} // which member of that name stays
		n := 0
		for c := v.Walk(); c.Next(); n++ {
			name := c.Name.String()
			if _, ok := at[name]; !ok || keep == KeepLast {
				at[name] = n
			}
		}
		n = 0
		for c := v.Walk(); c.Next(); n++ {
			if at[c.Name.String()] == n {
				dst = append(append(comma(dst, '{'), c.Name.b...), ':')
				dst = appendUnique(dst, c.Value, keep)
			}
		}
		return append(dst, '}')
	}
	return append(dst, v.b...)
}

// comma appends a comma unless a container has just been opened.
func comma(dst []byte, opened byte) []byte {
	if dst[len(dst)-1] == opened {
		return dst
	}
	return append(dst, ',')
}
