package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/gateway"
	"gopura/trial"
)

func newTest() *cobra.Command {
	var path, only, junit string
	var verbose, watch bool
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Run the tests of a configuration",
		Long: `Test sends the requests under tests: through the configuration on paper, and
compares what becomes of them with what is expected. Policies are the real ones;
services and sources of identity are played as the tests say. Nothing is sent
anywhere, and each test begins with full limits.

A test that fails says what was expected and what decided otherwise. The exit code
is 1 when one fails; without tests it is 0.`,
		Example: `  gopura test
  gopura test --run orders -v
  gopura test --junit report.xml
  gopura test --watch`,
		Args: cobra.NoArgs,
	}
	configFlag(cmd, &path)
	f := cmd.Flags()
	f.StringVar(&only, "run", "", "only tests whose name matches this regular expression")
	f.StringVar(&junit, "junit", "", "write a JUnit report to this file")
	f.BoolVarP(&verbose, "verbose", "v", false, "name the tests that pass, too, and explain those that fail")
	f.BoolVar(&watch, "watch", false, "run again whenever the configuration changes, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		pattern, err := regexp.Compile(only)
		if err != nil {
			return fmt.Errorf("--run: %w", err)
		}
		t := tests{load: loader(path), only: pattern, junit: junit, verbose: verbose, out: cmd.OutOrStdout()}
		return act(func(cmd *cobra.Command, _ []string) error {
			if watch {
				return t.watch(path, cmd.ErrOrStderr())
			}
			return t.run()
		})(cmd, args)
	}
	return cmd
}

// tests runs the tests of a configuration and tells about it.
type tests struct {
	load    func() (*config.Document, error)
	only    *regexp.Regexp
	junit   string
	verbose bool
	out     io.Writer
}

func (t *tests) run() error {
	begin := time.Now()
	doc, err := gateway.Check(t.load)
	if err != nil {
		return err
	}
	var results []trial.Result
	failed := 0
	for i := range doc.Tests {
		c := &doc.Tests[i]
		if !t.only.MatchString(c.Name) {
			continue
		}
		r := trial.Run(t.load, c)
		results = append(results, r)
		if len(r.Failures) > 0 {
			failed++
		}
		t.tell(r)
	}
	if t.junit != "" {
		if err := writeJUnit(t.junit, results, time.Since(begin)); err != nil {
			return err
		}
	}
	switch {
	case len(doc.Tests) == 0:
		fmt.Fprintln(t.out, "the configuration has no tests: write some under tests:")
	case len(results) == 0:
		fmt.Fprintf(t.out, "none of %s matches %q\n", count(len(doc.Tests), "test"), t.only)
	default:
		fmt.Fprintf(t.out, "%s, %d failed (%s)\n", count(len(results), "test"), failed, time.Since(begin).Round(time.Millisecond))
	}
	if failed > 0 {
		return errReported
	}
	return nil
}

func (t *tests) tell(r trial.Result) {
	if len(r.Failures) == 0 {
		if t.verbose {
			fmt.Fprintf(t.out, "ok    %s\n", r.Test.Name)
		}
		return
	}
	fmt.Fprintf(t.out, "FAIL  %s  (%s)\n", r.Test.Name, r.Test.Pos)
	for _, f := range r.Failures {
		fmt.Fprintf(t.out, "      %s\n", f)
	}
	if r.Explanation == nil {
		return
	}
	if t.verbose {
		writeExplanation(t.out, r.Explanation)
		return
	}
	if s := decisive(r.Explanation); s != "" {
		fmt.Fprintf(t.out, "      because %s\n", s)
	}
}

// decisive says in a line what made the answer.
func decisive(e *gateway.Explanation) string {
	for _, s := range e.Steps {
		if s.Verdict == "refused" || s.Verdict == "answered" {
			why := s.Verdict
			if s.Code != "" {
				why += " with " + s.Code
			}
			if s.Reason != "" {
				why += ": " + s.Reason
			}
			return fmt.Sprintf("%s %s (%s)", s.Policy, why, s.Origin)
		}
	}
	switch {
	case e.Route == "":
		return "no route takes it"
	case len(e.Sent) > 0:
		return fmt.Sprintf("route %q (%s) sent it to %s", e.Route, e.Origin, e.Sent[len(e.Sent)-1].Service)
	}
	return fmt.Sprintf("route %q (%s) answered", e.Route, e.Origin)
}

// watch runs the tests now and after each change.
func (t *tests) watch(path string, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	again := func() {
		if err := t.run(); err != nil {
			report(stderr, err)
		}
	}
	again()
	gateway.WatchFiles(ctx, func() []string { return []string{path} }, func() {
		fmt.Fprintf(t.out, "\n%s\n", time.Now().Format(time.TimeOnly))
		again()
	})
	return nil
}

// The parts of a JUnit report that its readers agree on.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(file string, results []trial.Result, took time.Duration) error {
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
	s := junitSuite{Name: "gopura test", Tests: len(results), Time: seconds(took)}
	for _, r := range results {
		c := junitCase{Name: r.Test.Name, Class: r.Test.Pos.File, Time: seconds(r.Took)}
		if len(r.Failures) > 0 {
			s.Failures++
			c.Failure = &junitFailure{Message: r.Failures[0].String()}
			for _, f := range r.Failures {
				c.Failure.Text += f.String() + "\n"
			}
			c.Failure.Text += "at " + r.Test.Pos.String()
		}
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte(xml.Header), append(text, '\n')...), 0o644)
}
