package lint

import (
	"encoding/json"
	"strings"
)

// The parts of SARIF 2.1.0 that code scanners read.
type sarif struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool    sarifTool     `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	} `json:"driver"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID       string    `json:"id"`
	Short    sarifText `json:"shortDescription"`
	Help     sarifText `json:"help"`
	Defaults struct {
		Level Level `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        Level              `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifLocation struct {
	Physical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region struct {
			Line   int `json:"startLine"`
			Column int `json:"startColumn"`
		} `json:"region"`
	} `json:"physicalLocation"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}

// SARIF writes findings for code scanners.
func SARIF(found []Finding, version string) ([]byte, error) {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver.Name, run.Tool.Driver.Version = "gopura lint", version
	index := map[string]int{}
	for i, r := range Rules {
		index[r.Name] = i
		rule := sarifRule{ID: r.Name, Short: sarifText{r.Text}, Help: sarifText{r.Why}}
		rule.Defaults.Level = r.Level
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	for _, f := range found {
		r := sarifResult{RuleID: f.Rule.Name, RuleIndex: index[f.Rule.Name], Level: f.Rule.Level, Message: sarifText{f.Message}}
		if f.Hint != "" {
			r.Message.Text += " (" + f.Hint + ")"
		}
		var at sarifLocation
		at.Physical.Artifact.URI = strings.ReplaceAll(f.Pos.File, `\`, "/")
		at.Physical.Region.Line, at.Physical.Region.Column = max(f.Pos.Line, 1), max(f.Pos.Col, 1)
		r.Locations = []sarifLocation{at}
		if f.Ignored != "" {
			r.Suppressions = []sarifSuppression{{"inSource", f.Ignored}}
		}
		run.Results = append(run.Results, r)
	}
	return json.MarshalIndent(sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}, "", "  ")
}
