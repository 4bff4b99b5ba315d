package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gopura/exchange"
	"gopura/gateway"
	"gopura/trial"
)

func newExplain() *cobra.Command {
	var path, client, as, body, answers string
	var headers []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [METHOD] URL",
		Short: "Say why a request gets the answer that it gets",
		Long: `Explain sends a request through a configuration on paper: which routes were
candidates and why each lost, what each policy saw, changed and decided, what the
service is sent, and what the client gets, each with the line of the file behind it.

Nothing is sent anywhere. Policies are the real ones; limits begin full. Services
answer with an empty 200, or as the file of --services says (services: { users: { json:
… } }, as in a test). A source of identity that would have to ask somebody
over the network can't tell: say with --as who is calling. Secrets are masked.`,
		Example: `  gopura explain /users/42
  gopura explain POST http://shop.example.com/orders -H 'Content-Type: application/json' -d '{"id": 1}'
  gopura explain /users/42 --as alice
  gopura explain /profile/42 --services answers.yaml
  gopura explain /users/42 --as '{"sub": "alice", "scope": ["users.read"]}' --json`,
		Args: cobra.RangeArgs(1, 2),
	}
	configFlag(cmd, &path)
	f := cmd.Flags()
	f.StringArrayVarP(&headers, "header", "H", nil, "a header field of the request, as 'Name: value'; may be given again")
	f.StringVarP(&body, "data", "d", "", "the body of the request")
	f.StringVar(&client, "client", "127.0.0.1", "the client's address")
	f.StringVar(&as, "as", "", "who is calling: a subject, or claims as JSON")
	f.StringVar(&answers, "services", "", "a file that says what services answer")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		x, err := parseRequest(args, headers, client)
		if err != nil {
			return err // the command line's fault
		}
		if body != "" {
			x.Request.Body = exchange.BytesBody([]byte(body))
		}
		id, err := parseIdentity(as)
		if err != nil {
			return err
		}
		return act(func(cmd *cobra.Command, _ []string) error {
			u := gateway.Understudies{Identity: trial.IdentityUnderstudy(id)}
			if err := playServices(&u, answers); err != nil {
				return err
			}
			r, err := gateway.Rehearse(loader(path), u)
			if err != nil {
				return err
			}
			defer r.Close()
			e := r.Explain(x)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			writeExplanation(cmd.OutOrStdout(), e)
			return nil
		})(cmd, args)
	}
	return cmd
}

// parseIdentity reads --as: a subject, or an object of claims.
func parseIdentity(text string) (*exchange.Identity, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	if text[0] != '{' {
		return &exchange.Identity{Sub: text, Claims: map[string]any{"sub": text}}, nil
	}
	claims := map[string]any{}
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		return nil, fmt.Errorf("--as: claims must be a JSON object: %w", err)
	}
	sub, _ := claims["sub"].(string)
	return &exchange.Identity{Sub: sub, Claims: claims}, nil
}

// playServices lets services answer as a file says.
func playServices(u *gateway.Understudies, file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	list, err := trial.Answers(file, text)
	if err != nil {
		return err
	}
	u.Service, u.Played = trial.Play(list), trial.Names(list)
	return nil
}

// writeExplanation prints e for people.
func writeExplanation(w io.Writer, e *gateway.Explanation) {
	fmt.Fprintln(w, e.Request)
	writeCandidates(w, e)
	if len(e.Steps) > 0 {
		fmt.Fprintln(w, "\npolicies")
	}
	for _, s := range e.Steps {
		writeStep(w, s)
	}
	for _, s := range e.Sent {
		writeSent(w, s, e.Services)
	}
	writeCalls(w, e.Calls)
	writeAnswer(w, &e.Answer)
	for i, n := range e.Notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, n)
	}
}

func writeCandidates(w io.Writer, e *gateway.Explanation) {
	fmt.Fprintln(w, "\nroutes")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range e.Candidates {
		mark, why := "-", c.Reason
		if c.Won {
			mark, why = "*", strings.Join(append([]string{"takes it"}, e.Params...), ", ")
			if e.Timeout != "" {
				why += ", timeout " + e.Timeout
			}
		}
		fmt.Fprintf(t, "  %s %s\t%s\t%s\n", mark, c.Route, c.Origin, why)
	}
	t.Flush()
	if len(e.Candidates) == 0 {
		fmt.Fprintln(w, "  no route has such a path")
	}
	for line := range strings.Lines(e.Plan) {
		fmt.Fprint(w, "    ", line)
	}
	for _, s := range e.Conditions {
		writeSaw(w, s)
	}
}

func writeStep(w io.Writer, s gateway.Step) {
	mark := map[string]string{"passed": "+", "refused": "x", "answered": "=", "not reached": " ", "nothing to do": " "}[s.Verdict]
	name := s.Policy
	if s.Owner != "" {
		name += " of " + s.Owner
	}
	what := s.Verdict
	if s.Status != 0 {
		what += fmt.Sprintf(" with %d", s.Status)
	}
	if s.Code != "" {
		what += " " + s.Code
	}
	if s.Shadowed != "" {
		what += ", would have refused with " + s.Shadowed + " (shadow)"
	}
	if s.Reason != "" {
		what += ": " + s.Reason
	}
	fmt.Fprintf(w, "  %s %-16s %s  (%s, %s)\n", mark, name, what, s.Stage, s.Origin)
	for _, saw := range s.Saw {
		writeSaw(w, saw)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(w, "      %s\n", n)
	}
	for _, l := range s.Request {
		fmt.Fprintf(w, "      %s\n", l)
	}
	for _, l := range s.Response {
		fmt.Fprintf(w, "      answer %s\n", l)
	}
}

func writeSaw(w io.Writer, s gateway.Saw) {
	value := "= " + s.Value
	if s.Error != "" {
		value = "can't be told: " + s.Error
	}
	fmt.Fprintf(w, "      %s %s\n", s.Expression, value)
	for _, f := range s.Facts {
		fmt.Fprintf(w, "        where %s\n", f)
	}
}

func writeSent(w io.Writer, s gateway.Sent, services []gateway.ServiceSummary) {
	fmt.Fprintf(w, "\nsent to service %s\n  %s\n", s.Service, s.Request)
	if s.Host != "" {
		fmt.Fprintf(w, "  Host: %s\n", s.Host)
	}
	for _, h := range s.Header {
		fmt.Fprintf(w, "  %s\n", h)
	}
	for _, sum := range services {
		if sum.Name != s.Service {
			continue
		}
		fmt.Fprintf(w, "  one of %s  (%s)\n", strings.Join(sum.Targets, ", "), sum.Origin)
		for _, r := range sum.Rules {
			fmt.Fprintf(w, "  %s\n", r)
		}
	}
	if s.Played != "" {
		fmt.Fprintf(w, "  its answer is played: %s\n", s.Played)
	}
}

// writeCalls says what became of the calls of a composed route.
func writeCalls(w io.Writer, calls []gateway.CallInfo) {
	if len(calls) > 0 {
		fmt.Fprintln(w, "\ncalls")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range calls {
		what := fmt.Sprintf("answered with %d", c.Status)
		switch {
		case c.Requests == 0 && c.Code != "":
			what = "not made: " + c.Code
		case c.Requests == 0 && c.Status == 0:
			what = "not made"
		case c.Code != "":
			what = "failed: " + c.Code
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Name, c.Service, what)
	}
	t.Flush()
}

func writeAnswer(w io.Writer, a *gateway.AnswerSummary) {
	fmt.Fprintf(w, "\nanswer %d, by the %s", a.Status, a.By)
	if a.Code != "" {
		fmt.Fprintf(w, ": %s", a.Code)
	}
	fmt.Fprintln(w)
	if a.Detail != "" {
		fmt.Fprintf(w, "  the client is told: %s\n", a.Detail)
	}
	if a.Cause != "" {
		fmt.Fprintf(w, "  only the log is told: %s\n", a.Cause)
	}
	for _, h := range a.Header {
		fmt.Fprintf(w, "  %s\n", h)
	}
}
