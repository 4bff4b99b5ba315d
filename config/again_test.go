package config_test

import (
	"errors"
	"strings"
	"testing"

	"gopura/config"
)

// A document can be read again: as it was, as it would be now, and changed by
// somebody who must not look around.
func TestReadAgain(t *testing.T) {
	secret := "first"
	options := config.Options{Env: func(string) (string, bool) { return secret, true }, ReadFile: func(string) ([]byte, error) { return nil, errors.New("no") }}
	src := []config.Source{{Name: "dir/gopura.yaml", Data: []byte("listen: :1\nadmin: {token: '${env:T}'}\nroutes: [{match: /, answer: 200}]\n")}}
	doc, err := config.Parse(src, options)
	if err != nil {
		t.Fatal(err)
	}
	secret = "second"
	was, err1 := doc.Origin().Copy()
	now, err2 := doc.Origin().Again()
	if err1 != nil || err2 != nil || was.Admin.Token.Reveal() != "first" || now.Admin.Token.Reveal() != "second" {
		t.Fatal(err1, err2, was.Admin.Token.Reveal(), now.Admin.Token.Reveal())
	}
	if !doc.Origin().Same(now.Origin()) || doc.Origin().Size() != len(src[0].Data) {
		t.Error("the texts are not the same")
	}
	next := strings.Replace(string(src[0].Data), ":1\n", ":1\naccess_log: '${env:OTHER}'\n", 1)
	tried, unknown, err := doc.Origin().Try([]config.Source{{Name: "dir/gopura.yaml", Data: []byte(next)}})
	if err != nil || tried.Admin.Token.Reveal() != "first" || len(unknown) != 1 || unknown[0] != "env:OTHER" {
		t.Error(err, unknown)
	}
}

func TestMaskedTexts(t *testing.T) {
	for text, want := range map[string]string{
		`Authorization: "Bearer hush"`:          `Authorization: *************`,
		`{X-Api-Key: hush, X-Plan: gold}`:       `{X-Api-Key: ****, X-Plan: gold}`,
		`client_secret: hush`:                   `client_secret: ****`,
		`url: redis://user:hush@10.0.0.1`:       `url: redis://*********@10.0.0.1`,
		`token: ${env:TOKEN}`:                   `token: ${env:TOKEN}`,
		`X-Token: "{jwt.sub}"`:                  `X-Token: "{jwt.sub}"`,
		`credentials: true`:                     `credentials: true`,
		`limit: {key: client.ip}`:               `limit: {key: client.ip}`,
		`token_endpoint: https://idp.example/t`: `token_endpoint: https://idp.example/t`,
		`password: 'it''s'`:                     `password: *******`,
		`# an old token: hush`:                  `# an old token: ****`,
	} {
		doc, err := config.Parse([]config.Source{{Name: "a.yaml", Data: []byte("listen: :1\nroutes: [{match: /, answer: 200}]\n")}, {Name: "b.yaml", Data: []byte("# " + text + "\n")}}, config.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(strings.TrimPrefix(string(doc.MaskedTexts()[1].Data), "# ")); got != want {
			t.Errorf("%s\nis shown as %s", text, got)
		}
	}
}
