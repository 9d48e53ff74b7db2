package web

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"gatehouse/broker"
)

// readForm limits the body and parses a form. Other bodies are limited too, and left to the handler.
func (k *Toolkit) readForm(w http.ResponseWriter, r *http.Request) error {
	if r.Body != nil && r.Body != http.NoBody {
		//defence:H1
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	//defence:H1
	if len(r.URL.RawQuery) > maxBody {
		return broker.TooLarge
	}
	if err := checkKind(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return broker.TooLarge
		}
		return broker.RequestInvalid.Because(errors.New("the form cannot be parsed"))
	}
	//defence:H1
	if values(r.Form) > maxKeys {
		return broker.RequestInvalid.Because(fmt.Errorf("more than %d form values", maxKeys))
	}
	return nil
}

func checkKind(contentType string) error {
	if contentType == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return broker.RequestInvalid.Because(fmt.Errorf("content type: %w", err))
	//defence:H1
	case kind == "multipart/form-data" || kind == "multipart/mixed":
		// We have no upload forms, and parsers disagree about multipart.
		return broker.RequestInvalid.Because(errors.New("multipart bodies are not accepted"))
	}
	return nil
}

func values(form url.Values) (n int) {
	for _, v := range form {
		n += len(v)
	}
	return n
}
