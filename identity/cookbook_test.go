package identity

import (
	"crypto"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gopura/config"
	"gopura/exchange"
)

// More of the RFCs and of the cookbook (RFC 7520): whole tokens, through keys
// that are published, and the forms that are none of ours.
const (
	rfc7520Issuer = `{"kty":"RSA","kid":"hobbiton.example","use":"sig","n":"kNrPIBDXMU6fcyv5i-QHQAQ-K8gsC3HJb7FYhYaw8hXbNJa-t8q0lDKwLZgQXYV-ffWxXJv5GGrlZE4GU52lfMEegTDzYTrRQ3tepgKFjMGg6Iy6fkl1ZNsx2gEonsnlShfzA9GJwRTmtKPbk1s-hwx1IU5AT-AIelNqBgcF2vE5W25_SGGBoaROVdUYxqETDggM1z5cKV4ZjDZ8-lh4oVB07bkac6LQdHpJUUySH_Er20DXx30Kyi97PciXKTS-QKXnmm8ivyRCmux22ZoPUind2BKC5OiG4MwALhaL2Z2k8CsRdfy-7dg7z41Rp6D0ZeEvtaUp4bX4aKraL4rTfw","e":"AQAB"}`
	rfc7520Inner  = "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJob2JiaXRvbi5leGFtcGxlIiwiZXhwIjoxMzAwODE5MzgwLCJodHRwOi8vZXhhbXBsZS5jb20vaXNfcm9vd" +
		"CI6dHJ1ZX0.dPpMqwRZxFYi1UfcDAaf8M99o7kwUWtiXZ-ByvVuJih4MhJ_aZqciprz0OWaIAkIvn1qskChirjKvY9ESZNUCP4JjvfyPS-nqjJxYoA5ztWOyFk2cZNIPXj" +
		"cJXSQwXPO9tEe-v4VSqgD0aKHqPxYog4N6Cz1lKph1U1sYDSI67_bLL7elg_vkjfMp5_W5l5LuUYGMeh6hxQIaIUXf9EwV2JmvTMuZ-vBOWy0Sniy1EFo72CRTvmtrIf5A" +
		"ROo5MNliY3KtUxeP-SOmD-LEYwW9SlkohYzMVAZDDOrVbv7KVRHpeYNaK75KEQqdCEEkS_rskZS-Qtt_nlegTWh1mEYaA"
	rfc7520Nested = "eyJhbGciOiJSU0EtT0FFUCIsImN0eSI6IkpXVCIsImVuYyI6IkExMjhHQ00ifQ.a0JHRoITfpX4qRewImjlStn8m3CPxBV1ueYlVhjurCyrBg3I7YhCRYjphDOOS4E7rXb" +
		"r2Fn6NyQq-A-gqT0FXqNjVOGrG-bi13mwy7RoYhjTkBEC6P7sMYMXXx4gzMedpiJHQVeyI-zkZV7A9matpgevAJWrXzOUysYGTtwoSN6gtUVtlLaivjvb21O0ul4YxSHV-" +
		"ByK1kyeetRp_fuYJxHoKLQL9P424sKx2WGYb4zsBIPF4ssl_e5IR7nany-25_UmC2urosNkoFz9cQ82MypZP8gqbQJyPN-Fpp4Z-5o6yV64x6yzDUF_5JCIdl-Qv6H5dMV" +
		"IY7q1eKpXcV1lWO_2FefEBqXxXvIjLeZivjNkzogCq3-IapSjVFnMjBxjpYLT8muaawo1yy1XXMuinIpNcOY3n4KKrXLrCcteX85m4IIHMZa38s1Hpr56fPPseMA-Jltmt" +
		"-a9iEDtOzhtxz8AXy9tsCAZV2XBWNG8c3kJusAamBKOYwfk7JhLRDgOnJjlJLhn7TI4UxDp9dCmUXEN6z0v23W15qJIEXNJtqnblpymooeWAHCT4e_Owbim1g0AEpTHUdA" +
		"2iiLNs9WTX_H_TXuPC8yDDhi1smxS_X_xpkIHkiIHWDOLx03BpqDTivpKkBYwqP2UZkcxqX2Fo_GnVrNwlK7Lgxw6FSQvDO0.GbX1i9kXz0sxXPmA.SZI4IvKHmwpazl_p" +
		"JQXX3mHv1ANnOU4Wf9-utWYUcKrBNgCe2OFMf66cSJ8k2QkxaQD3_R60MGE9ofomwtky3GFxMeGRjtpMt9OAvVLsAXB0_UTCBGyBg3C2bWLXqZlfJAAoJRUPRk-BimYZY8" +
		"1zVBuIhc7HsQePCpu33SzMsFHjn4lP_idrJz_glZTNgKDt8zdnUPauKTKDNOH1DD4fuzvDYfDIAfqGPyL5sVRwbiXpXdGokEszM-9ChMPqW1QNhzuX_Zul3bvrJwr7nuGZ" +
		"s4cUScY3n8yE3AHCLurgls-A9mz1X38xEaulV18l4Fg9tLejdkAuQZjPbqeHQBJe4IwGD5Ee0dQ-Mtz4NnhkIWx-YKBb_Xo2zI3Q_1sYjKUuis7yWW-HTr_vqvFt0bj7WJ" +
		"f2vzB0TZ3dvsoGaTvPH2dyWwumUrlx4gmPUzBdwTO6ubfYSDUEEz5py0d_OtWeUSYcCYBKD-aM7tXg26qJo21gYjLfhn9zy-W19sOCZGuzgFjPhawXHpvnj_t-0_ES96ko" +
		"gjJLxS1IMU9Y5XmnwZMyNc9EIwnogsCg-hVuvzyP0sIruktmI94_SL1xgMl7o03phcTMxtlMizR88NKU1WkBsiXMCjy1Noue7MD-ShDp5dmM.KnIKEhN8U-3C9s4gtSpjS" +
		"w"
	rfc7520Direct = "eyJhbGciOiJkaXIiLCJraWQiOiI3N2M3ZTJiOC02ZTEzLTQ1Y2YtODY3Mi02MTdiNWI0NTI0M2EiLCJlbmMiOiJBMTI4R0NNIn0..refa467QzzKx6QAB.JW_i_f52hww_" +
		"ELQPGaYyeAB6HYGcR559l9TYnSovc23XJoBcW29rHP8yZOZG7YhLpT1bjFuvZPjQS-m0IFtVcXkZXdH_lr_FrdYt9HRUYkshtrMmIUAyGmUnd9zMDB2n0cRDIHAzFVeJUD" +
		"xkUwVAE7_YGRPdcqMyiBoCO-FBdE-Nceb4h3-FtBP-c_BIwCPTjb9o0SbdcdREEMJMyZBH8ySWMVi1gPD9yxi-aQpGbSv_F9N4IZAxscj5g-NJsUPbjk29-s7LJAGb15wE" +
		"BtXphVCgyy53CoIKLHHeJHXex45Uz9aKZSRSInZI-wjsY0yu3cT4_aQ3i1o-tiE-F8Ios61EKgyIQ4CWao8PFMj8TTnp.vbb32Xvllea2OtmHAdccRQ"
	rfc7519A1 = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcjiHnSJflSdv1iNqhWXaKH4MqAkQtMoNfABIPJaZm0Ha" +
		"A415sv3aeuBWnD8J-Ui7Ah6cWafs3ZwwFKDFUUsWHSK-IPKxLGTkND09XyjORj_CHAgOPJ-Sd8ONQRnJvWn_hXV1BNMHzUjPyYwEsRhDhzjAD26imasOTsgruobpYGoQcX" +
		"UwFDn7moXPRfDE8-NoQX7N7ZYMmpUDkR-Cx9obNGwJQ3nM52YCitxoQVPzjbl7WBuB7AohdBoZOdZ24WlN1lVIeh8v1K4krB8xgKvRU8kgFrEn_a1rZgN5TiysnmzTROF8" +
		"69lQ.AxY8DCtDaGlsbGljb3RoZQ.MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaMHDjUEOKIwrtkHthpqEanSBNYHZgmNOV7sln1Eu" +
		"9g3J8.fiK51VwhsxJ-siBMR-YFiA"
	rfc7520RS256 = "MIsjqtVlOpa71KE-Mss8_Nq2YH4FGhiocsqrgi5NvyG53uoimic1tcMdSg-qptrzZc7CG6Svw2Y13TDIqHzTUrL_lR2ZFcryNFiHkSw129EghGpwkpxaTn_THJTCglNbAD" +
		"ko1MZBCdwzJxwqZc-1RlpO2HibUYyXSwO97BSe0_evZKdjvvKSgsIqjytKSeAMbhMBdMma622_BG5t4sdbuCHtFjp9iJmkio47AIwqkZV1aIZsv33uPUqBBCXbYoQJwt7m" +
		"xPftHmNlGoOSMxR_3thmXTCm4US-xiNOyhbm8afKK64jU6_TPtQHiJeQJxz9G3Tx-083B745_AfYOnlC9w" // §4.8.2
	rfc7520ES512 = "ARcVLnaJJaUWG8fG-8t5BREVAuTY8n8YHjwDO1muhcdCoFZFFjfISu0Cdkn9Ybdlmi54ho0x924DUz8sK7ZXkhc7AFM8ObLfTvNCrqcI3Jkl2U5IX3utNhODH6v7xgy1Qa" +
		"hsn0fyb4zSAkje8bAWz4vIfj5pCMYxxm4fgV3q7ZYhm5eD" // §4.8.3

	// RFC 7517 A.1, and the thumbprint that RFC 7638 §3.1 has of its second key.
	rfc7517Enc = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}`
	rfc7517RSA = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs` +
		`tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-` +
		`bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	rfc7638 = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

// cookbook is what an issuer with all the keys of the RFCs publishes: those for
// encryption, and secrets, are among them.
func cookbook() string {
	return `{"keys":[` + strings.Join([]string{rfc7520RSA, rfc7520EC, rfc7520Issuer, rfc7517Enc, rfc7517RSA, rfc8037,
		`{"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256","k":"` + rfc7520Secret + `"}`,
		`{"kty":"EC","crv":"P-999","x":"AA","y":"AA","kid":"of tomorrow"}`}, ",") + `]}`
}

// Published keys are read one by one: what can't be used is left out.
func TestCookbookKeys(t *testing.T) {
	var all []string
	for alg := range methods {
		if !strings.HasPrefix(alg, "HS") {
			all = append(all, alg)
		}
	}
	set, skipped, err := parseJWKS([]byte(cookbook()), all)
	if err != nil || len(set.keys) != 5 || len(skipped) != 3 {
		t.Fatalf("%d keys, skipped %v, %v", len(set.keys), skipped, err)
	}
	for _, v := range vectors {
		if v.name[:8] != "RFC 7520" && v.name[:8] != "RFC 8037" {
			continue
		}
		header, _ := decodePart(v.header, 64)
		tok := &token{signed: v.header + "." + v.payload}
		if err := tok.header(header); err != nil {
			t.Fatal(err)
		}
		tok.signature, _ = decodeBase64(v.signature)
		_, err := set.verify(tok)
		if secret := v.alg == "HS256"; secret != (err != nil) { // a secret that is published is none
			t.Errorf("%s: %v", v.name, err)
		}
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(rfc7517RSA)); err != nil {
		t.Fatal(err)
	}
	if sum, err := key.Thumbprint(crypto.SHA256); b64(string(sum)) != rfc7638 || err != nil {
		t.Errorf("this is not the key of RFC 7517: %s, %v", b64(string(sum)), err)
	}
}

// The whole tokens of the RFCs are good until they expire.
func TestCookbookTokens(t *testing.T) {
	url := serve(t, func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, cookbook()) })
	secret, _ := decodeBase64(rfc7515Secret)
	a1, a2, a3 := vectors[0], vectors[1], vectors[2]
	for _, c := range []struct {
		name, token, issuer string
		keys                string
	}{
		{"RFC 7520 §6", rfc7520Inner, "hobbiton.example", "jwks: " + url},
		{"RFC 7519 §3.1", a1.header + "." + a1.payload + "." + a1.signature, "joe", ""},
		{"RFC 7515 A.2", a2.header + "." + a2.payload + "." + a2.signature, "joe", "keys: '" + rfc7515RSA + "'"},
		{"RFC 7515 A.3", a3.header + "." + a3.payload + "." + a3.signature, "joe", "keys: '" + rfc7515EC + "'"},
	} {
		w := newWorld(t)
		w.now = time.Unix(1300819380-1, 0)
		spec := new(JWT)
		if err := config.Decode(config.Source{Name: "t", Data: []byte("{issuer: " + c.issuer + ", audience: any, " + c.keys + "}")}, spec, config.Options{}); err != nil {
			t.Fatal(err)
		}
		if spec.JWKS == "" && spec.Keys == nil {
			spec.Secret, spec.Algorithms = config.NewSecret(string(secret)), []string{"HS256"}
		}
		s := w.compile(spec)
		id, code := ask(s, c.token)
		if code != "" || id.Claims["http://example.com/is_root"] != true || id.Claims["iss"] != c.issuer {
			t.Errorf("%s: %q %+v", c.name, code, id)
		}
		w.pass(32 * time.Second)
		if _, code := ask(s, c.token); code != bad {
			t.Errorf("%s: after exp and the leeway %q", c.name, code)
		}
	}
}

// What is not a signed token in the compact form is refused, whoever signed it,
// and the log says what it was. Nothing is decrypted.
func TestCookbookForms(t *testing.T) {
	url := serve(t, func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, cookbook()) })
	const protected = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9"
	a2, a3 := vectors[1], vectors[2]
	general := func(payload string, signatures ...string) string {
		return `{"payload":"` + payload + `","signatures":[` + strings.Join(signatures, ",") + `]}`
	}
	kid := func(name string) string { return `"header":{"kid":"` + name + `"}` }
	s := newDesk(t).jwt("{issuer: hobbiton.example, audience: any, jwks: " + url + ", token: [bearer, header.X-Token]}")
	for name, text := range map[string]string{
		"RFC 7515 A.6": general(joe, `{"protected":"`+a2.header+`",`+kid("2010-12-29")+`,"signature":"`+a2.signature+`"}`,
			`{"protected":"`+a3.header+`",`+kid("e9bc097a-ce51-4036-9562-d2ade882db0d")+`,"signature":"`+a3.signature+`"}`),
		"RFC 7515 A.7":            `{"payload":"` + joe + `","protected":"` + a3.header + `",` + kid("e9bc097a-ce51-4036-9562-d2ade882db0d") + `,"signature":"` + a3.signature + `"}`,
		"RFC 7520 §4.5, detached": protected + "..s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
		"RFC 7520 §4.5, general":  `{"signatures":[{"protected":"` + protected + `","signature":"s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"}]}`,
		"RFC 7520 §4.5, flat":     `{"protected":"` + protected + `","signature":"s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"}`,
		"RFC 7520 §4.6":           general(frodo, `{"protected":"eyJhbGciOiJIUzI1NiJ9",`+kid("018c0ae5-4d9b-471b-bfd6-eef314bc7037")+`,"signature":"bWUSVaxorn7bEF1djytBd0kHv70Ly5pvbomzMWSOr20"}`),
		"RFC 7520 §4.7, flat": `{"payload":"` + frodo + `","header":{"alg":"HS256","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037"},` +
			`"signature":"xuLifqLGiblpv9zBpuZczWhNj1gARaLV3UxvxhJxZuk"}`,
		"RFC 7520 §4.8": general(frodo, `{"protected":"eyJhbGciOiJSUzI1NiJ9",`+kid("bilbo.baggins@hobbiton.example")+`,"signature":"`+rfc7520RS256+`"}`,
			`{"header":{"alg":"ES512","kid":"bilbo.baggins@hobbiton.example"},"signature":"`+rfc7520ES512+`"}`),
		"RFC 7797 §4.2":                 "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2V9.$.02.GsyM6AQJbQHY8aQKCbZSPJHzMRWo3HKIlcDuXof7nqs",
		"RFC 7520 §5.6, encrypted":      rfc7520Direct,
		"RFC 7520 §6, signed inside":    rfc7520Nested,
		"RFC 7519 A.1, encrypted":       rfc7519A1,
		"RFC 7519 §6.1, without either": "eyJhbGciOiJub25lIn0." + joe + ".",
	} {
		for _, field := range []string{"Authorization: Bearer ", "X-Token: "} {
			_, err := s.Identify(asking(field + text))
			encrypted := strings.Count(text, ".") == 4
			if code := exchange.AsError(err).Code; code != bad || strings.Contains(err.Error(), "encrypted") != encrypted {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
