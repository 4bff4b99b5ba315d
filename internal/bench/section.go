package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
)

// A Section is a measurement that not all proxies take part in: its own table,
// and what is to be said about it.
type Section struct {
	Title string
	Table Table
	Notes []string // paragraphs
}

// Text writes the section for a terminal.
func (s Section) Text(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", s.Title)
	s.Table.Text(w)
	for _, n := range s.Notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
}

// Markdown writes the section for a page.
func (s Section) Markdown(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n", s.Title)
	s.Table.Markdown(w)
	fmt.Fprintln(w)
	for _, n := range s.Notes {
		fmt.Fprintf(w, "%s\n\n", n)
	}
}

// sections measures what only names, or all of it, and prints each result.
func (b *Bench) sections(ctx context.Context, o options, only []string) ([]Section, error) {
	var all []Section
	for _, measure := range []func(context.Context, options, []string, func(Section)) error{b.runFans, b.runTokens, b.runH2, runTranscode} {
		err := measure(ctx, o, only, func(s Section) {
			s.Text(os.Stdout)
			all = append(all, s)
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// wanted reports whether only names the job, or nothing at all.
func wanted(only []string, name string) bool { return len(only) == 0 || slices.Contains(only, name) }
