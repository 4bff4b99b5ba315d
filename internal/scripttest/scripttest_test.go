package scripttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHarness(t *testing.T) { Run(t, "testdata/*.txt", startFake) }

// A script must fail where it is wrong, and say where.
func TestFailures(t *testing.T) {
	const head = "upstream a\ngateway\n"
	const files = "\n-- gopura.yaml --\nlisten: ${listen}\nto: ${a}\n-- bad.yaml --\nx: y\n"
	for _, c := range []struct{ lines, want string }{
		{"request GET /\nstatus 404", "s.txt:4: status 404: the status is 200\nlast answer, to GET / over http:"},
		{"request GET /\nbody b", `the body is "a"`},
		{"request GET /\n! body a", "it should not be so"},
		{"request GET /\nheader x-no", "there is no x-no"},
		{"request GET /\njson .code", "not JSON"},
		{"request GET /nothing\njson .code other", ".code is no_route"},
		{"request GET /nothing\naccess code=other", `code is "no_route"`},
		{"request GET /\nbroken", "the answer came whole"},
		{"request GET /\ncontinued", "no 100 came"},
		{"upstream a -size 100 -cut 10\nrequest GET /", "s.txt: GET /: the answer broke off: "},
		{"upstream a -size 100 -cut 10\nrequest GET /\nrequest GET /", "s.txt:5: request GET /: GET /: the answer broke off"},
		{"upstream-calls a 1", "upstream a was called 0 times"},
		{"upstream-saw a x", "upstream a was called 0 times"},
		{"request GET /\nupstream-saw a 'X: y'", `no line "X: y" in the head`},
		{"request GET /${b}", "no upstream of that name"},
		{"! status x", "invalid syntax"}, // a mistake of the script is no success of "!"
		{"reload bad.yaml", "unknown key x"},
		{"! reload bad.yaml 'something else'", `want an error that says "something else", got: unknown key x`},
		{"gateway", "the gateway runs already"},
		{"request GET / -listener", "-listener wants a value"},
		{"request GET", "1 words, want 2 to 2"},
		{"request GET / -foo", "unknown option -foo"},
		{"body 'x", "a quote is not closed"},
		{"frobnicate", "unknown command"},
		{"protocols h2", "must come first"},
		{"body -file none.txt", "there is no file none.txt"},
		{"upstream gateway", "is no name for an upstream"},
	} {
		s, err := parse("s.txt", []byte(head+c.lines+files))
		if err == nil {
			err = s.run(t, HTTP, startFake)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n\twant %s\n\tgot  %v", c.lines, c.want, err)
		}
	}
}

func TestSplit(t *testing.T) {
	words, err := split(`a 'b # c' "d\n" '' -e#f g='h i'"\x41" # rest 'open`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range words {
		got = append(got, w.text)
	}
	if strings.Join(got, "|") != "a|b # c|d\n||-e#f|g=h iA" || !words[1].quoted || words[4].quoted {
		t.Errorf("%q", got)
	}
}

// The gateway's scripts are checked here too, as far as that goes without one.
func TestScriptsOfTheGatewayParse(t *testing.T) {
	files, err := filepath.Glob("../../gateway/testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Skip("there are none")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(filepath.Base(f), data); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("request GET / -header 'a: b' # c\n-- gopura.yaml --\nlisten: x\n")
	f.Add("repeat 3 ! upstream a \"\\x00\" -times 2")
	f.Add("! ")
	f.Fuzz(func(t *testing.T, text string) { parse("s.txt", []byte(text)) })
}
