package main_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxFile    = 400 // lines
	maxFunc    = 60  // lines
	maxLine    = 120 // characters
	maxMethods = 6
	// maxCommand limits cmd/gatehouse as a whole, which parses flags, prints and wires.
	maxCommand = 2800
)

// directive matches a comment for a tool.
var directive = regexp.MustCompile(`^\s*//[a-z]+:`)

// buildsFacts are the packages that build Facts and ask Admit.
const buildsFacts = "broker broker/access"

// rules are the functions of the domain that answer to Facts.
const rules = "Admit Next Resolve MayLink Refusing LoadedFacts"

func checkSource(s source) []string {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, s.path, s.text, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	c := &checker{set: set, path: s.path, dir: path.Dir(s.path), tests: slices.ContainsFunc(file.Imports,
		func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` })}
	if n := bytes.Count(s.text, []byte("\n")); n > maxFile {
		c.say(file.Name, "the file has %d lines, at most %d", n, maxFile)
	}
	c.checkLines(s.text)
	ast.Inspect(file, c.visit)
	return c.faults
}

// checker collects what is wrong in one file.
type checker struct {
	set    *token.FileSet
	path   string
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
			c.say(n, "init() runs without a call")
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
		c.visitCall(n)
	case *ast.CompositeLit:
		if selects(n.Type, "broker", "Facts") && !lists(buildsFacts, c.dir) {
			c.say(n, "only broker/access builds Facts")
		}
	case *ast.SelectorExpr:
		c.visitSelector(n)
	}
	return true
}

func (c *checker) visitCall(n *ast.CallExpr) {
	if c.dir == "cmd/gatehouse" && readsEnvironment(n.Fun) { // it hands os.LookupEnv to config, uncalled
		c.say(n, "only config reads the environment")
	}
	for _, rule := range strings.Fields(rules) {
		if selects(n.Fun, "broker", rule) && !lists(buildsFacts, c.dir) {
			c.say(n, "only broker/access asks %s", rule)
		}
	}
}

// checkLines counts characters, a tab as one. The tag of a field, which ends a line with a
// backquote, and a directive such as an anchor of deploy/mutate cannot be broken.
func (c *checker) checkLines(text []byte) {
	for i, line := range strings.Split(string(text), "\n") {
		whole := strings.HasSuffix(line, "`") || directive.MatchString(line)
		if n := utf8.RuneCountInString(line); n > maxLine && !whole {
			c.faults = append(c.faults, fmt.Sprintf("%s:%d: the line has %d characters, at most %d", c.path, i+1, n, maxLine))
		}
	}
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
	if readsEnvironment(n) && c.dir != "config" && c.dir != "cmd/gatehouse" && !strings.HasPrefix(c.dir, "deploy/") {
		c.say(n, "only config reads the environment")
	}
	// The domain package takes the status numbers from net/http, and nothing that could serve or call.
	if x, ok := n.X.(*ast.Ident); ok && c.dir == "broker" && x.Name == "http" && !strings.HasPrefix(n.Sel.Name, "Status") {
		c.say(n, "the domain package does no I/O, but uses http.%s", n.Sel.Name)
	}
}

func readsEnvironment(e ast.Expr) bool {
	return selects(e, "os", "Getenv") || selects(e, "os", "LookupEnv") || selects(e, "os", "Environ") ||
		selects(e, "os", "ExpandEnv")
}

func selects(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}
