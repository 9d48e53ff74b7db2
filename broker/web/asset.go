package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static/*.css static/*.js static/*.svg
var staticFiles embed.FS

//go:embed static/icon/*.svg
var iconFiles embed.FS

// asset is one embedded file, ready to send.
type asset struct {
	kind        string
	plain, gzip []byte // gzip is empty if it would not be shorter
}

// assets holds the files by hashed name. The name changes with the content, so browsers may cache a file
// forever.
type assets struct {
	names map[string]string // app.css → app.0a1b2c3d4e5f.css
	files map[string]asset
	icons map[string]template.HTML
}

func loadAssets() assets {
	a := assets{names: map[string]string{}, files: map[string]asset{}, icons: map[string]template.HTML{}}
	for _, name := range list(staticFiles, "static") {
		body := read(staticFiles, "static/"+name)
		sum := sha256.Sum256(body)
		ext := path.Ext(name)
		hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.names[name] = hashed
		a.files[hashed] = asset{kind: kinds(ext), plain: body, gzip: compress(body)}
	}
	for _, name := range list(iconFiles, "static/icon") {
		a.icons[strings.TrimSuffix(name, ".svg")] = template.HTML(strings.TrimSpace(string(read(iconFiles,
			"static/icon/"+name))))
	}
	return a
}

// list and read panic, because embedded files cannot be missing.
func list(f embed.FS, dir string) (names []string) {
	entries, err := fs.ReadDir(f, dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func read(f embed.FS, name string) []byte {
	b, err := f.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

func kinds(ext string) string {
	return map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".svg": "image/svg+xml"}[ext]
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err)
	}
	_, _ = z.Write(body) // a bytes.Buffer accepts everything
	_ = z.Close()
	if b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// href returns the address of an asset, for templates.
func (a assets) href(name string) (string, error) {
	hashed, ok := a.names[name]
	if !ok {
		return "", fmt.Errorf("unknown asset %q", name)
	}
	return "/assets/" + hashed, nil
}

// icon returns the icon of a connection's kind as inline SVG, or a key if there is none.
func (a assets) icon(kind string) template.HTML {
	if svg, ok := a.icons[kind]; ok {
		return svg
	}
	return a.icons["key"]
}

// Assets serves GET /assets/{name}.
func (k *Toolkit) Assets() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := k.track(rw)
		defer k.recovered(w, r)
		f, ok := k.assets.files[path.Base(r.URL.Path)]
		if !ok {
			http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Vary", "Accept-Encoding")
		body := f.plain
		if f.gzip != nil && acceptsGzip(r) {
			body = f.gzip
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
	})
}

func acceptsGzip(r *http.Request) bool {
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(weight, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
