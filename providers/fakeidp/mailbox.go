package fakeidp

import (
	"encoding/json"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mailbox shows the mails of a folder.
type mailbox struct{ folder string }

type shownMail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Date    string `json:"date"`
	Text    string `json:"text"`
	when    time.Time
}

// NewMailbox shows the mails of a folder of .eml files, as a page and as JSON, for the demo.
func NewMailbox(folder string) http.Handler {
	m := mailbox{folder}
	page := template.Must(template.ParseFS(demoFiles, "demo/mailbox.html"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app.css", demoCSS)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		mails, err := m.read()
		if err == nil {
			w.Header().Set("Cache-Control", "no-store")
			err = page.Execute(w, mails)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /mails.json", func(w http.ResponseWriter, _ *http.Request) {
		mails, err := m.read()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(mails)
	})
	return mux
}

// read returns the mails of the folder, newest first.
func (m mailbox) read() ([]shownMail, error) {
	files, err := filepath.Glob(filepath.Join(m.folder, "*.eml"))
	if err != nil {
		return nil, err
	}
	mails := make([]shownMail, 0, len(files))
	for _, f := range files {
		s, err := readMail(f)
		if err != nil {
			return nil, err
		}
		mails = append(mails, s)
	}
	slices.SortFunc(mails, func(a, b shownMail) int { return b.when.Compare(a.when) })
	return mails, nil
}

func readMail(path string) (s shownMail, _ error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		s.when = info.ModTime()
	}
	msg, err := mail.ReadMessage(f)
	if err != nil {
		return s, err
	}
	word := new(mime.WordDecoder)
	if s.Subject, err = word.DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return s, err
	}
	s.To, s.Date = strings.Trim(msg.Header.Get("To"), "<>"), msg.Header.Get("Date")
	s.Text, err = plainText(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	return s, err
}

// plainText finds the text/plain part.
func plainText(contentType, encoding string, body io.Reader) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		if strings.EqualFold(encoding, "quoted-printable") {
			body = quotedprintable.NewReader(body)
		}
		b, err := io.ReadAll(io.LimitReader(body, 1<<20))
		return string(b), err
	}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		p, err := parts.NextPart() // decodes quoted-printable itself
		if err != nil {
			return "", err
		}
		if t, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); t == "text/plain" {
			b, err := io.ReadAll(io.LimitReader(p, 1<<20))
			return string(b), err
		}
	}
}
