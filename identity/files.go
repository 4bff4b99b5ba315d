package identity

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxCredentialFile bounds a file of keys or passwords.
const maxCredentialFile = 16 << 20

// inDir is a path of the configuration, from the folder where those start.
func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readCredentials reads a file that a source goes by.
func readCredentials(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialFile+1))
	if err == nil && len(data) > maxCredentialFile {
		err = fmt.Errorf("%s: larger than %d MiB", path, maxCredentialFile>>20)
	}
	return data, err
}
