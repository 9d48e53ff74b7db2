package main_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// This file is the layout of DESIGN.md §3 as a test: who may import whom, which room holds which
// vendor, and how big things may grow. Every check takes its material as data, so that planted faults
// prove that it sees them.

const module = "gatehouse/"

// everyPackage, as a list of imports or of rooms, sets no limit.
const everyPackage = "*"

// leaves may be imported by every room but the domain package.
const leaves = " broker broker/text broker/seal broker/egress broker/limit broker/signing"

// packages names each package and the packages of ours that it may import.
var packages = map[string]string{
	"broker":            "",
	"broker/text":       "broker",
	"broker/seal":       "broker",
	"broker/egress":     "broker",
	"broker/limit":      "broker",
	"broker/signing":    "broker",
	"broker/clients":    leaves,
	"broker/web":        leaves,
	"broker/mail":       leaves,
	"broker/credential": leaves,
	"broker/login":      "broker/web broker/mail broker/credential" + leaves,
	"broker/account":    "broker/web broker/mail broker/credential" + leaves,
	"broker/admin":      "broker/clients broker/web broker/mail broker/credential providers" + leaves,
	"broker/oidc":       "broker/web broker/clients" + leaves,
	"providers":         leaves,
	"providers/fakeidp": "",
	"storage":           "storage/gormdb storage/redisdb" + leaves,
	"storage/gormdb":    leaves,
	"storage/redisdb":   leaves,
	"storage/storetest": leaves,
	"config":            "",
	"cmd/gatehouse":     everyPackage,
	"deploy/bench":      "", // it measures the binary from outside, like any client
	"deploy/mutate":     "", // it runs the tests from outside
}

// vendors gives each foreign module its room. One that is not listed has no room yet.
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
	"golang.org/x/crypto/argon2":          "broker/credential deploy/bench",
	"github.com/alecthomas/kong":          "cmd/gatehouse",
	"github.com/prometheus/client_golang": "cmd/gatehouse",
	"go.opentelemetry.io":                 "cmd/gatehouse",
	"go.yaml.in/yaml":                     "config",
	"github.com/caarlos0/env":             "config",
	"github.com/knadh/koanf":              "config",
	"github.com/danielgtaylor/huma":       "broker/admin",
	"golang.org/x/crypto":                 everyPackage,
	"golang.org/x/net":                    everyPackage,
	"golang.org/x/sync":                   everyPackage,
	"golang.org/x/text":                   everyPackage,
	"github.com/google/uuid":              everyPackage,
}

// hallKeepsOut are the standard packages that do I/O or draw pages.
var hallKeepsOut = []string{"bufio", "crypto/tls", "database/sql", "html/template", "io", "io/fs", "io/ioutil", "net", "net/smtp", "os",
	"os/exec", "path/filepath", "syscall", "text/template"}

// card lists the top-level entries, and the dotfiles that a tool expects there.
var card = []string{"cmd", "broker", "providers", "storage", "config", "deploy", "go.mod", "go.sum", "README.md",
	".ci", ".gitignore", ".golangci.yml", ".dockerignore"}

const (
	maxFile    = 400 // lines
	maxFunc    = 60  // lines
	maxMethods = 5
)

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
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(top, f))
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkWords(source{f, text}))
		if strings.HasSuffix(f, ".go") && !strings.HasSuffix(f, "_test.go") {
			report(t, checkSource(source{f, text}))
		}
	}
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
	for _, r := range all {
		allowed, known := packages[r.name]
		if !known {
			faults = append(faults, r.name+" is not on the floor plan")
			continue
		}
		for _, imp := range r.imports {
			if f := checkImport(r.name, allowed, imp); f != "" {
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
	case name == "broker" && slices.Contains(hallKeepsOut, imp):
		return fmt.Sprintf("the hall does no I/O, but imports %s", imp)
	case !strings.Contains(first, "."):
		return "" // the standard library
	}
	home, known := vendorPackage(imp)
	switch {
	case !known:
		return fmt.Sprintf("%s, imported by %s, has no room", imp, name)
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
	return list == everyPackage || slices.Contains(strings.Fields(list), name)
}

func checkTop(files []string) (faults []string) {
	seen := map[string]bool{}
	for _, f := range files {
		entry, _, _ := strings.Cut(f, "/")
		if !seen[entry] && !slices.Contains(card, entry) {
			faults = append(faults, entry+" is not a top-level entry of the card")
		}
		seen[entry] = true
	}
	return faults
}

// forbidden are words that no file may hold: work left undone, and hosts of package registries. They
// are written in halves, since this file is a file too.
var forbidden = []string{"TO" + "DO", "FIX" + "ME", "registry." + "npmjs.org", "proxy." + "golang.org", "sum." + "golang.org"}

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

func checkSource(s source) []string {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, s.path, s.text, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	c := &checker{set: set, dir: path.Dir(s.path), tests: slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` })}
	if n := bytes.Count(s.text, []byte("\n")); n > maxFile {
		c.say(file.Name, "the file has %d lines, at most %d", n, maxFile)
	}
	ast.Inspect(file, c.visit)
	return c.faults
}

// checker collects what is wrong in one file.
type checker struct {
	set    *token.FileSet
	dir    string
	tests  bool // a suite such as storetest: one function lists the cases of one noun
	faults []string
}

func (c *checker) say(at ast.Node, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf("%s: %s", c.set.Position(at.Pos()), fmt.Sprintf(format, args...)))
}

func (c *checker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if lines := c.set.Position(n.End()).Line - c.set.Position(n.Pos()).Line + 1; lines > maxFunc && !c.tests {
			c.say(n, "%s has %d lines, at most %d", n.Name.Name, lines, maxFunc)
		}
		if n.Recv == nil && n.Name.Name == "init" {
			c.say(n, "init() runs where nobody called it")
		}
	case *ast.InterfaceType:
		c.visitInterface(n)
	case *ast.StructType:
		for _, f := range n.Fields.List {
			if selects(f.Type, "context", "Context") {
				c.say(f, "a context is passed, never stored")
			}
		}
	case *ast.CallExpr:
		if c.dir == "cmd/gatehouse" && readsEnvironment(n.Fun) { // it hands os.LookupEnv to config, uncalled
			c.say(n, "only config reads the environment")
		}
	case *ast.SelectorExpr:
		c.visitSelector(n)
	}
	return true
}

func (c *checker) visitInterface(n *ast.InterfaceType) {
	methods := 0
	for _, m := range n.Methods.List {
		methods += len(m.Names) // an embedded role counts where it is declared
	}
	if methods > maxMethods {
		c.say(n, "the interface has %d methods, at most %d", methods, maxMethods)
	}
}

func (c *checker) visitSelector(n *ast.SelectorExpr) {
	if readsEnvironment(n) && c.dir != "config" && c.dir != "cmd/gatehouse" {
		c.say(n, "only config reads the environment")
	}
	// The hall takes the status numbers from net/http, and nothing that could serve or call.
	if x, ok := n.X.(*ast.Ident); ok && c.dir == "broker" && x.Name == "http" && !strings.HasPrefix(n.Sel.Name, "Status") {
		c.say(n, "the hall does no I/O, but uses http.%s", n.Sel.Name)
	}
}

func readsEnvironment(e ast.Expr) bool {
	return selects(e, "os", "Getenv") || selects(e, "os", "LookupEnv") || selects(e, "os", "Environ") || selects(e, "os", "ExpandEnv")
}

func selects(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// A check that cannot fail proves nothing, so each is shown a fault of its own.
func TestLayoutSeesPlantedFaults(t *testing.T) {
	imports := func(name string, imports ...string) []string { return checkImports([]goPackage{{name, imports}}) }
	file := func(dir, text string) []string {
		return checkSource(source{dir + "/x.go", []byte("package x\n" + text)})
	}
	lines := func(n int) string { return strings.Repeat("\n", n) }
	for name, tc := range map[string]struct {
		faults []string
		says   string // empty: nothing is wrong
	}{
		"all is well":              {imports("broker/login", "fmt", module+"broker", module+"broker/web", "golang.org/x/text/language"), ""},
		"config knows a room":      {imports("config", module+"broker/web"), "must not import"},
		"two doors meet":           {imports("broker/login", module+"broker/oidc"), "must not import"},
		"the hall knows a leaf":    {imports("broker", module+"broker/seal"), "must not import"},
		"a wall knows a door":      {imports("storage/gormdb", module+"broker/login"), "must not import"},
		"fosite in login":          {imports("broker/login", "github.com/ory/fosite/compose"), "belongs into broker/oidc"},
		"gorm in the hall":         {imports("broker", "gorm.io/gorm"), "belongs into storage/gormdb"},
		"an old jose in providers": {imports("providers", "github.com/go-jose/go-jose/v3/jwt"), "belongs into broker/oidc"},
		"a vendor without a room":  {imports("broker/web", "example.com/router"), "has no room"},
		"a package off the plan":   {imports("broker/util", "fmt"), "not on the floor plan"},
		"the hall opens files":     {imports("broker", "os"), "does no I/O"},
		"the bench looks inside":   {imports("deploy/bench", module+"broker"), "must not import"},

		"the card":                {checkTop([]string{"cmd/x.go", ".ci/run", "go.mod"}), ""},
		"a folder off the card":   {checkTop([]string{"internal/x.go"}), "not a top-level entry"},
		"a file of 400 lines":     {file("config", lines(399)), ""},
		"a file of 401 lines":     {file("config", lines(400)), "the file has 401 lines"},
		"a function of 60 lines":  {file("config", "func f() {"+lines(59)+"}"), ""},
		"a function of 61 lines":  {file("config", "func f() {"+lines(60)+"}"), "f has 61 lines"},
		"a method of 61 lines":    {file("config", "func (x) f() {"+lines(60)+"}"), "f has 61 lines"},
		"a suite of 61 lines":     {file("storage", `import "testing"`+"\nfunc f(t *testing.T) {"+lines(60)+"}"), ""},
		"an interface of five":    {file("broker", "type i interface { A(); B(); C(); D(); E() }"), ""},
		"an interface of six":     {file("broker", "type i interface { A(); B(); C(); D(); E(); F() }"), "the interface has 6 methods"},
		"an init":                 {file("broker/web", "func init() {}"), "init()"},
		"a stored context":        {file("broker/web", "type s struct { ctx context.Context }"), "never stored"},
		"a room asks for itself":  {file("broker/web", `var p = os.Getenv("PORT")`), "only config"},
		"cmd asks for itself":     {file("cmd/gatehouse", `var p = os.Getenv("PORT")`), "only config"},
		"cmd hands it on":         {file("cmd/gatehouse", `var p = os.LookupEnv`), ""},
		"config asks":             {file("config", `func f() string { return os.Getenv("PORT") }`), ""},
		"the hall names a status": {file("broker", "var s = http.StatusOK"), ""},
		"the hall calls out":      {file("broker", `var r, _ = http.Get("x")`), "does no I/O"},
		"text that is not Go":     {file("broker", "func {"), "expected"},
		"work left undone":        {checkWords(source{"x.sh", []byte("# " + forbidden[0])}), "holds"},
		"a registry's host":       {checkWords(source{"x.json", []byte("https://" + forbidden[2] + "/x")}), "holds"},
	} {
		switch {
		case tc.says == "" && len(tc.faults) > 0:
			t.Errorf("%s: reported %q", name, tc.faults)
		case tc.says != "" && (len(tc.faults) != 1 || !strings.Contains(tc.faults[0], tc.says)):
			t.Errorf("%s: want one fault with %q, got %q", name, tc.says, tc.faults)
		}
	}
}
