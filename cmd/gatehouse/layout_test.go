package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// These tests hold DESIGN.md §3: who may import what, which package holds which vendor, and
// how big things may grow. Every check takes its material as data, so that planted faults
// prove that it sees them (layout_planted_test.go).

const module = "gatehouse/"

// anyPackage, as a list, sets no limit.
const anyPackage = "*"

const (
	// leaves import the domain package alone.
	leaves = " broker/text broker/seal broker/egress broker/limit broker/signing "
	// shared is what the services may import beside the leaves. They never import each other.
	shared = leaves + "broker/access broker/clients broker/tenants broker/credential broker/mail broker/web "
)

// packages gives each package of ours those of ours that it may import. Every package but
// those of noDomain may import broker as well.
var packages = map[string]string{
	"broker":         "",
	"broker/text":    "",
	"broker/seal":    "",
	"broker/egress":  "",
	"broker/limit":   "",
	"broker/signing": "",

	"broker/access":     leaves + "broker/mail",
	"broker/clients":    leaves,
	"broker/tenants":    leaves + "broker/mail",
	"broker/credential": leaves,
	"broker/mail":       leaves,
	"broker/web":        leaves + "broker/access",

	"broker/login":         shared,
	"broker/oidc":          shared,
	"broker/account":       shared,
	"broker/admin":         shared + "providers", // it checks connections before they go live
	"broker/admin/api":     shared + "broker/admin",
	"broker/admin/console": shared + "broker/admin",

	"providers":         leaves,
	"providers/fakeidp": "",
	"storage":           leaves + "storage/gormdb storage/redisdb",
	"storage/gormdb":    leaves,
	"storage/redisdb":   leaves,
	"storage/storetest": leaves,
	"config":            "",
	"cmd/gatehouse":     anyPackage, // alone it imports config
	"deploy/bench":      "",         // it measures the binary from outside, like any client
	"deploy/mutate":     "",         // it runs the tests from outside
}

// noDomain are the packages that do not know the domain.
const noDomain = "broker providers/fakeidp deploy/bench deploy/mutate"

// vendors gives each foreign module its packages. The longest entry that names an import path
// or a parent of it counts; a module that is not listed is refused.
var vendors = map[string]string{
	"github.com/ory/fosite":               "broker/oidc",
	"github.com/ory/x":                    "broker/oidc",
	"github.com/go-jose/go-jose/v3":       "broker/oidc",
	"github.com/go-jose/go-jose/v4":       "broker/signing broker/clients broker/oidc providers providers/fakeidp",
	"github.com/coreos/go-oidc":           "providers",
	"golang.org/x/oauth2":                 "providers",
	"github.com/crewjam/saml":             "providers",
	"github.com/russellhaering/goxmldsig": "providers",
	"gorm.io":                             "storage/gormdb",
	"github.com/glebarez":                 "storage/gormdb",
	"modernc.org":                         "storage/gormdb",
	"github.com/jackc":                    "storage/gormdb",
	"github.com/pressly/goose":            "storage/gormdb",
	"github.com/redis/go-redis":           "storage/redisdb",
	"github.com/tink-crypto/tink-go":      "broker/seal",
	"github.com/wneessen/go-mail":         "broker/mail",
	"github.com/go-webauthn/webauthn":     "broker/credential",
	"github.com/pquerna/otp":              "broker/credential",
	"rsc.io/qr":                           "broker/account",
	"golang.org/x/crypto/argon2":          "broker/credential deploy/bench",
	"github.com/alecthomas/kong":          "cmd/gatehouse",
	"github.com/prometheus/client_golang": "cmd/gatehouse",
	"go.opentelemetry.io":                 "cmd/gatehouse",
	"go.yaml.in/yaml":                     "config",
	"golang.org/x/crypto":                 anyPackage,
	"golang.org/x/net":                    anyPackage,
	"golang.org/x/sync":                   anyPackage,
	"golang.org/x/term":                   "cmd/gatehouse",
	"golang.org/x/text":                   anyPackage,
	"github.com/google/uuid":              anyPackage,
}

// ioPackages are the standard packages that do I/O or draw pages. The domain package imports
// none of them.
var ioPackages = []string{"bufio", "crypto/tls", "database/sql", "html/template", "io", "io/fs", "io/ioutil", "net",
	"net/smtp", "os", "os/exec", "path/filepath", "syscall", "text/template"}

// topLevel lists the top-level entries, and the dotfiles that a tool expects there.
var topLevel = []string{"cmd", "broker", "providers", "storage", "config", "deploy", "go.mod", "go.sum", "README.md",
	".ci", ".gitignore", ".golangci.yml", ".dockerignore"}

// goPackage is a package and what its files, tests excepted, import.
type goPackage struct {
	name    string
	imports []string
}

// source is one Go file, its path relative to the top.
type source struct {
	path string
	text []byte
}

func TestLayout(t *testing.T) {
	top := filepath.Join("..", "..")
	files := trackedFiles(t, top)
	report(t, checkImports(listPackages(t)))
	report(t, checkTop(files))
	var command int
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(top, f))
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkWords(source{f, text}))
		if strings.HasSuffix(f, ".go") && !strings.HasSuffix(f, "_test.go") {
			report(t, checkSource(source{f, text}))
			if path.Dir(f) == "cmd/gatehouse" {
				command += bytes.Count(text, []byte("\n"))
			}
		}
	}
	report(t, checkCommand(command))
}

// checkCommand takes the number of lines in cmd/gatehouse without tests.
func checkCommand(lines int) []string {
	if lines > maxCommand {
		return []string{fmt.Sprintf("cmd/gatehouse has %d lines without tests, at most %d: rules belong to broker/admin, "+
			"broker/clients and config", lines, maxCommand)}
	}
	return nil
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		all = append(all, goPackage{strings.TrimPrefix(f[0], module), f[1:]})
	}
	return all
}

// trackedFiles lists what git keeps or would keep: the work tree without what it ignores.
func trackedFiles(t *testing.T, top string) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for f := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(top, f)); err == nil {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		t.Fatal("git lists no files")
	}
	return files
}

func checkImports(all []goPackage) (faults []string) {
	for _, p := range all {
		allowed, known := packages[p.name]
		if !known {
			faults = append(faults, p.name+" is not a package of DESIGN.md §3")
			continue
		}
		if allowed != anyPackage && !lists(noDomain, p.name) {
			allowed += " broker"
		}
		for _, imp := range p.imports {
			if f := checkImport(p.name, allowed, imp); f != "" {
				faults = append(faults, f)
			}
		}
	}
	return faults
}

func checkImport(name, allowed, imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	switch to, ours := strings.CutPrefix(imp, module); {
	case ours && !lists(allowed, to):
		return fmt.Sprintf("%s must not import %s", name, to)
	case ours:
		return ""
	case name == "broker" && slices.Contains(ioPackages, imp):
		return fmt.Sprintf("the domain package does no I/O, but imports %s", imp)
	case !strings.Contains(first, "."):
		return "" // the standard library
	}
	home, known := vendorPackage(imp)
	switch {
	case !known:
		return fmt.Sprintf("%s, imported by %s, has no package", imp, name)
	case !lists(home, name):
		return fmt.Sprintf("%s belongs into %s, not into %s", imp, home, name)
	}
	return ""
}

// vendorPackage finds the longest entry that names the import path or a parent of it.
func vendorPackage(imp string) (home string, known bool) {
	for p := imp; p != "."; p = path.Dir(p) {
		if home, known = vendors[p]; known {
			return home, true
		}
	}
	return "", false
}

func lists(list, name string) bool {
	return list == anyPackage || slices.Contains(strings.Fields(list), name)
}

func checkTop(files []string) (faults []string) {
	seen := map[string]bool{}
	for _, f := range files {
		entry, _, _ := strings.Cut(f, "/")
		if !seen[entry] && !slices.Contains(topLevel, entry) {
			faults = append(faults, entry+" is not a top-level entry")
		}
		seen[entry] = true
	}
	return faults
}

// forbidden are words that no file may hold: work left undone, and hosts of package registries. They
// are written in halves, since this file is a file too.
var forbidden = []string{"TO" + "DO", "FIX" + "ME", "registry." + "npmjs.org", "proxy." + "golang.org",
	"sum." + "golang.org"}

func checkWords(s source) (faults []string) {
	if bytes.IndexByte(s.text, 0) >= 0 {
		return nil
	}
	words := forbidden
	if wd, err := os.Getwd(); err == nil {
		words = append(slices.Clone(forbidden), filepath.Dir(filepath.Dir(wd))+"/")
	}
	for _, w := range words {
		if bytes.Contains(s.text, []byte(w)) {
			faults = append(faults, fmt.Sprintf("%s holds %q", s.path, w))
		}
	}
	return faults
}
