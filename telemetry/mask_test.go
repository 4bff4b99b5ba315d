package telemetry

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"/", "/"},
		{"*", "*"},
		{"/users/42?view=full&page=2", "/users/42?view=full&page=2"},

		// Names, in all their spellings.
		{"/?token=a", "/?token=***"},
		{"/?x=1&access_token=a&y=2", "/?x=1&access_token=***&y=2"},
		{"/?API-KEY=a", "/?API-KEY=***"},
		{"/?apiKey=a&clientSecret=b", "/?apiKey=***&clientSecret=***"},
		{"/?key=a&code=b&sig=c", "/?key=***&code=***&sig=***"},
		{"/?X-Amz-Signature=a&X-Amz-Date=b", "/?X-Amz-Signature=***&X-Amz-Date=b"},
		{"/?user[password]=a&token[0]=b", "/?user[password]=***&token[0]=***"},
		{"/?%74oken=a&acces%73%5Ftoken=b", "/?%74oken=***&acces%73%5Ftoken=***"},
		{"/?token=", "/?token=***"},
		{"/?token", "/?token"},
		{"/?token&x=1", "/?token&x=1"},
		{"/?" + strings.Repeat("a", 200) + "_token=b", "/?" + strings.Repeat("a", 200) + "_token=***"},

		// Names that only look like it.
		{"/?zip_code=1&keyword=a&tokens_left=3&monkey=b", "/?zip_code=1&keyword=a&tokens_left=3&monkey=b"},
		{"/token=/x", "/token=/x"},

		// A value ends where the most generous reader ends it.
		{"/?token=a;b=c?d#e&f=g", "/?token=***&f=g"},
		{"/?token=a=b==&f=g", "/?token=***&f=g"},
		{"/?x=1;token=a", "/?x=1;token=***"},
		{"/?x=y?token=a", "/?x=y?token=***"},
		{"/#access_token=a", "/#access_token=***"},
		{"/a;jsessionid=1/b?x=2", "/a;jsessionid=***/b?x=2"},

		// A URL in the query.
		{"/?next=%2Fcb%3Fcode%3Dabc%26x%3D1&y=2", "/?next=%2Fcb%3Fcode%3D***&y=2"},
		{"/?next=/cb?code=abc&y=2", "/?next=/cb?code=***&y=2"},
		{"/?data=abc%3D%3D&y=%", "/?data=abc%3D%3D&y=%"},

		// Userinfo.
		{"http://user:pw@example.com/a?b=c@d", "http://***@example.com/a?b=c@d"},
		{"http://u@ser:pw@example.com", "http://***@example.com"},
		{"user:pw@example.com:443", "***@example.com:443"},
		{"user:pw@http://example.com", "***@http://example.com"},
		{"http://a:b@c@example.com/d@e", "http://***@example.com/d@e"},
		{"http://example.com/@user", "http://example.com/@user"},
		{"/http://user@example.com", "/http://user@example.com"},
		{"http://u:p@h?token=a", "http://***@h?token=***"},
	} {
		if got := string(appendMasked([]byte("> "), []byte(c.in))); got != "> "+c.want {
			t.Errorf("%s\n got %s\nwant > %s", c.in, got, c.want)
		}
	}
}

// FuzzMask: whatever stands around it, the value of a token is not recorded,
// and the text before it is.
func FuzzMask(f *testing.F) {
	f.Add("/users?x=1", "y=2")
	f.Add("http://u:p@h/a;b=c?%3", "%26#")
	f.Add("/?next=%2F%3Fa%3", "=")
	f.Add("/?token=x", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		const value = "S3CR3T-VALUE"
		if strings.Contains(before+after, value) {
			t.Skip()
		}
		got := string(appendMasked(nil, []byte(before+"&x=1?access_token="+value+"&"+after)))
		if strings.Contains(got, value) {
			t.Fatal(got)
		}
		plain := string(appendMasked(nil, []byte(before)))
		if !strings.Contains(plain, maskMark) && plain != before {
			t.Fatalf("%q became %q", before, plain)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	target := []byte("/users/42/orders?view=full&page=2&sort=created_at&access_token=eyJhbGciOi")
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = appendMasked(dst[:0], target)
	}
}
