package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/gateway"
)

const defaultConfig = "gopura.yaml"

// configFlag adds -c, the configuration that a command is about.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultConfig, "configuration file, or folder of *.yaml files")
	cmd.MarkFlagFilename("config", "yaml", "yml")
}

// source is where a configuration comes from.
type source struct {
	load  func() (*config.Document, error)
	files []string // watched, beside those that the configuration names
}

// loader returns how the configuration at path is read.
func loader(path string) func() (*config.Document, error) {
	return func() (*config.Document, error) {
		doc, err := config.Load(path, gateway.ConfigOptions())
		var missing *fs.PathError
		if errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) && missing.Path == path {
			return nil, fmt.Errorf("there is no configuration at %s: name a file or folder with -c, or see 'gopura demo'", path)
		}
		return doc, err
	}
}
