package fakeidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FreshFolder creates the demo's folder, and refuses one that is not empty: a demo must not mix
// with real data. Without a name it is gatehouse-demo, and what a demo that was killed left
// behind is removed: only the process with the issuer's port uses that folder. The port is in
// the name unless it is the usual one.
func FreshFolder(name, issuer string, usual bool) (string, error) {
	if name == "" {
		name = "gatehouse-demo"
		if !usual {
			name += "-" + issuer[strings.LastIndex(issuer, ":")+1:]
		}
		if _, err := os.Stat(filepath.Join(name, "gatehouse.yaml")); !errors.Is(err, fs.ErrNotExist) {
			if err := os.RemoveAll(name); err != nil {
				return "", err
			}
		}
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return "", fmt.Errorf("%w; name another folder with --data", err)
	}
	entries, err := os.ReadDir(name)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty; name an empty folder with --data", name)
	}
	return name, err
}

// WriteClaims writes what the provider says about each person into a folder.
func (s *Server) WriteClaims(folder, connection string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, p := range s.Personas() {
		if err := WriteJSON(filepath.Join(folder, connection+"-"+p.Login+".json"), s.Claims(p)); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes a value into a file.
func WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}
