package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/broker"
)

// Folder writes each mail as an .eml file that only its owner may read. It is for the demo, and for deployments
// without a mail server.
type Folder struct {
	dir  string
	from mail.Address
}

// NewFolder creates the folder. It logs a warning, because these mails are not delivered.
func NewFolder(dir string, from mail.Address, log *slog.Logger) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	log.Warn("no mail server is configured; mails are only written to a folder", "folder", dir)
	return &Folder{dir: dir, from: from}, nil
}

// Send implements Transport. Sending the same mail again replaces its file.
func (f *Folder) Send(_ context.Context, m broker.Mail) (err error) {
	msg, err := compose(f.from, m)
	if err != nil {
		return err
	}
	if m.ID == "" || strings.ContainsAny(m.ID, `/\.`) {
		return fmt.Errorf("mail: %w: the id is not a file name", ErrRefused)
	}
	temp, err := os.CreateTemp(f.dir, ".mail-*") // mode 0600
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = msg.WriteTo(temp)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	name := m.CreatedAt.UTC().Format("20060102T150405.000000Z") + "-" + m.ID + ".eml"
	if err := os.Rename(temp.Name(), filepath.Join(f.dir, name)); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}
