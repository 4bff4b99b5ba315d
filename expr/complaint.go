package expr

import (
	"fmt"
	"regexp"
	"strings"
)

// The parser's and the checker's complaints that are worth other words: they
// speak of grammar, and whoever wrote the expression does not.
var (
	misread    = regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous) input '(.*?)' expecting `)
	unreadable = regexp.MustCompile(`^Syntax error: (?:token recognition error at: |no viable alternative at input )'(.*)'$`)
	missing    = regexp.MustCompile(`^Syntax error: missing '(.*?)' at '(.*)'$`)
	overload   = regexp.MustCompile(`^found no matching overload for '(.*?)' applied to '(.*)'$`)
)

// plainly says what CEL says in words that need no knowledge of it.
func plainly(msg string) string {
	if m := misread.FindStringSubmatch(msg); m != nil {
		return "syntax error: " + unexpected(m[1])
	}
	if m := unreadable.FindStringSubmatch(msg); m != nil {
		return "syntax error: " + unexpected(m[1])
	}
	if m := missing.FindStringSubmatch(msg); m != nil {
		if m[2] == "<EOF>" {
			return fmt.Sprintf("syntax error: a %s is missing at the end", m[1])
		}
		return fmt.Sprintf("syntax error: a %s is missing before %q", m[1], m[2])
	}
	if m := overload.FindStringSubmatch(msg); m != nil {
		return mismatch(m[1], m[2])
	}
	return strings.Replace(msg, "Syntax error", "syntax error", 1)
}

func unexpected(token string) string {
	if token == "<EOF>" {
		return "something is missing at the end"
	}
	if strings.TrimSpace(token) == "=" {
		return fmt.Sprintf("unexpected %q, where == compares", strings.TrimSpace(token))
	}
	return fmt.Sprintf("unexpected %q", token)
}

// mismatch is the complaint about an operator or a function that does not take
// what it is given: '_+_' and "(string, int)".
func mismatch(operator, types string) string {
	name := strings.Trim(operator, "_")
	list := strings.TrimSuffix(strings.TrimPrefix(types, "("), ")")
	if name == "[" || name == "[_]" {
		name = "[…]"
	}
	left, right, two := strings.Cut(list, ", ")
	switch {
	case strings.Contains(operator, "_") && two && !strings.Contains(right, ", ") && name != "[…]":
		return fmt.Sprintf("%s %s %s does not go together", left, name, right)
	case strings.Contains(types, ".("): // string.(int): a function of a value
		of, args, _ := strings.Cut(types, ".(")
		return fmt.Sprintf("%s of a %s does not take (%s", name, of, args)
	}
	return fmt.Sprintf("%s does not take (%s)", strings.ReplaceAll(name, "_", ""), list)
}
