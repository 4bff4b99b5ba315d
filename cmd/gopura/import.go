package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/gateway"
	"gopura/identity"
	"gopura/importer"
)

// errLost: the work is done, and not all of the source is in the result.
var errLost = errors.New("not everything was imported")

func newImport() *cobra.Command {
	o := importer.Options{HashPassword: identity.HashPassword}
	var out, format string
	var services []string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a configuration of an OpenAPI document, or of another gateway's configuration",
		Long: `Import reads an OpenAPI document or the configuration of another gateway, writes a
configuration that sends requests where they went before, and reports what has no
equivalent or behaves otherwise: on stderr, and in comments at the place.

What kept somebody out and could not be translated closes its route, so that
nothing opens by being imported.

Exit codes: 0 all of it was imported, 1 nothing was, 2 a command line that is not
understood, 3 the configuration was written and the report has something to look at.`,
		Example: `  gopura import openapi.yaml -o gopura.yaml
  gopura import openapi.yaml --validate --service shop=http://10.0.0.1:8080
  gopura import kong.yaml --report json 2> report.json
  gopura import --from nginx /etc/nginx/nginx.conf`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "", "what it is: "+strings.Join(importer.Formats(), ", ")+"; left out: recognised by its content")
	f.StringVarP(&out, "output", "o", "", "write to this file, which must not be there; left out: stdout")
	f.StringArrayVar(&services, "service", nil, "where a service of the result runs, name=url, in place of what the source says")
	f.BoolVar(&o.Validate, "validate", false, "of an OpenAPI document: a route for each operation, which holds requests to the schemas")
	f.StringVar(&format, "report", "text", "how the report is written: text or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if format != "text" && format != "json" {
			return fmt.Errorf("--report: %q is none of text, json", format)
		}
		if o.From != "" && !slices.Contains(importer.Formats(), o.From) {
			return fmt.Errorf("--from: %q is none of %s", o.From, strings.Join(importer.Formats(), ", "))
		}
		o.Services = map[string]string{}
		for _, s := range services {
			name, url, ok := strings.Cut(s, "=")
			if !ok || name == "" || url == "" {
				return fmt.Errorf("--service: %q is not name=url", s)
			}
			o.Services[name] = url
		}
		return act(func(cmd *cobra.Command, args []string) error {
			o.Output = out
			return runImport(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], o, format)
		})(cmd, args)
	}
	return cmd
}

func runImport(stdout, stderr io.Writer, path string, o importer.Options, format string) error {
	data, err := readLimited(path)
	if err != nil {
		return err
	}
	toStdout := o.Output == ""
	o.ReadFile = readLimited
	o.Exists = func(name string) bool { info, err := os.Stat(name); return err == nil && info.Mode().IsRegular() }
	if toStdout {
		o.Output = defaultConfig
	}
	r, err := importer.Import(config.Source{Name: path, Data: data}, o)
	if err != nil {
		return err
	}
	if err := writeImport(stdout, r, o.Output, toStdout); err != nil {
		return err
	}
	err = tellLosses(stderr, r, format)
	if broken := checkImport(r, o.Output); broken != nil {
		return fmt.Errorf("what was written does not pass gopura check yet: %w", broken)
	}
	return err
}

// writeImport writes the result, and overwrites nothing.
func writeImport(stdout io.Writer, r *importer.Result, name string, toStdout bool) error {
	if toStdout {
		if len(r.Files) > 0 {
			return fmt.Errorf("the result is more than one file, because it has keys or secrets (%s): name its place with -o", strings.Join(slices.Sorted(maps.Keys(r.Files)), ", "))
		}
		_, err := stdout.Write(r.Text)
		return err
	}
	if err := writeNew(name, r.Text, 0o644); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(r.Files)) {
		full := filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			return err
		}
		if err := writeNew(full, r.Files[file], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// checkImport compiles the result as gopura check does.
func checkImport(r *importer.Result, name string) error {
	_, err := gateway.Check(func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: name, Data: r.Text}}, gateway.ConfigOptions())
	})
	return err
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func tellLosses(w io.Writer, r *importer.Result, format string) error {
	matter := 0
	for _, l := range r.Losses {
		if l.Matters() {
			matter++
		}
	}
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		losses := r.Losses
		if losses == nil {
			losses = []importer.Loss{}
		}
		if err := enc.Encode(struct {
			From   string          `json:"from"`
			Losses []importer.Loss `json:"losses"`
		}{r.From, losses}); err != nil {
			return err
		}
	} else {
		for _, l := range r.Losses {
			fmt.Fprintln(w, l)
		}
		switch {
		case matter > 0:
			fmt.Fprintf(w, "imported from %s; %s to look at\n", r.From, count(matter, "thing"))
		default:
			fmt.Fprintf(w, "imported from %s\n", r.From)
		}
	}
	if matter > 0 {
		return errLost
	}
	return nil
}

// readLimited reads a file that is not larger than a configuration may be.
func readLimited(name string) ([]byte, error) {
	const most = 16 << 20
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s: larger than 16 MiB", name)
	}
	return data, err
}
