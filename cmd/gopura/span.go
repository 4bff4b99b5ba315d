package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"gopura/config"
)

// spanFlag adds a flag that takes a duration as the configuration writes it:
// 90d, 12h, 300ms.
func spanFlag(cmd *cobra.Command, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	cmd.Flags().Var((*span)(to), name, usage)
}

// span is the value of such a flag.
type span time.Duration

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	d, err := config.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("expected a duration (300ms, 5s, 12h, 90d)")
	}
	*s = span(d)
	return nil
}

// String implements pflag.Value; of a flag without a default it is not shown.
func (s *span) String() string {
	if *s == 0 {
		return "0"
	}
	return time.Duration(*s).String()
}

// Type implements pflag.Value: the word for the value in the help.
func (s *span) Type() string { return "duration" }
