package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const anchorPrefix = "//defence:"

// anchor is one defence: where it stands, and the tests that must fail without it.
type anchor struct {
	file  string // relative to the module's top
	line  int    // of the comment
	rows  []string
	named []testName // in place of the tests that carry the rows
	value string     // what the expression is worth when the defence is out; empty for its zero value
	wrong string     // why it can't be taken out; empty if it can
}

// testName is one test; a subtest follows a slash.
type testName struct{ pkg, test string }

func (n testName) String() string { return n.pkg + ":" + n.test }

// id names the anchor's switch.
func (a anchor) id() string { return fmt.Sprintf("%s:%d", a.file, a.line) }

func (a anchor) String() string { return a.id() + "  " + strings.Join(a.rows, " ") }

var (
	rowID    = regexp.MustCompile(`^[A-Z][0-9]+[a-z]?$`)
	testSpec = regexp.MustCompile(`^(\./[a-z0-9/]+):(Test\w+(?:/\S+)?)$`)
)

// parseAnchor reads the comment of one anchor.
func parseAnchor(file string, line int, comment string) anchor {
	a := anchor{file: file, line: line}
	bad := func(what string) anchor {
		a.wrong = what
		return a
	}
	if !strings.HasPrefix(comment, anchorPrefix) {
		return bad("gofmt took it for documentation: put it above a statement")
	}
	head, value, valued := strings.Cut(strings.TrimPrefix(comment, anchorPrefix), " = ")
	for _, word := range strings.Fields(head) {
		switch spec := testSpec.FindStringSubmatch(word); {
		case spec != nil:
			a.named = append(a.named, testName{spec[1], spec[2]})
		case rowID.MatchString(word) && a.named == nil:
			a.rows = append(a.rows, word)
		default:
			return bad(fmt.Sprintf("%q is neither a row nor a test such as ./broker:TestResolve", word))
		}
	}
	if len(a.rows) == 0 {
		return bad("an anchor names a row")
	}
	if valued {
		a.value = strings.TrimSpace(value)
		if !independent(a.value) {
			return bad(fmt.Sprintf("the value %q may use literals, packages and local variables only", a.value))
		}
	}
	return a
}

// independent reports whether expressions use no exported name of their own package.
func independent(values string) bool {
	tree, err := parser.ParseExpr("int64(" + values + ")")
	if err != nil {
		return false
	}
	ok := true
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr: // a name of a package, or of a local variable
			return false
		case *ast.Ident:
			ok = ok && !n.IsExported()
		}
		return true
	})
	return ok
}

// source is one file with anchors.
type source struct {
	file    string
	text    string
	set     *token.FileSet
	tree    *ast.File
	anchors []anchor
}

// readSources parses every file of the module that has an anchor, in the order of their names.
func readSources(top string) ([]source, error) {
	var all []source
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != top && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		s, err := parseSource(filepath.ToSlash(file), string(text))
		if err == nil && len(s.anchors) > 0 {
			all = append(all, s)
		}
		return err
	})
	return all, err
}

func parseSource(file, text string) (source, error) {
	s := source{file: file, text: text, set: token.NewFileSet()}
	if !strings.Contains(text, "defence:") {
		return s, nil
	}
	var err error
	if s.tree, err = parser.ParseFile(s.set, file, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		return s, err
	}
	for _, group := range s.tree.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(strings.ReplaceAll(c.Text, " ", ""), anchorPrefix) {
				s.anchors = append(s.anchors, parseAnchor(file, s.set.Position(c.Pos()).Line, c.Text))
			}
		}
	}
	return s, nil
}

// node returns the node that starts on the first line of code below an anchor, after its parents, the outermost
// first. If several start there, it is the outermost that guard knows.
func (s source) node(a anchor) []ast.Node {
	pos := s.below(a.line)
	var path, found []ast.Node
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch {
		case n == nil:
			path = path[:len(path)-1]
			return true
		case found != nil || n.End() <= pos && !isFile(n):
			return false
		}
		path = append(path, n)
		if n.Pos() == pos && guardable(n) {
			found = slices.Clone(path)
		}
		return true
	})
	return found
}

func isFile(n ast.Node) bool { _, ok := n.(*ast.File); return ok }

// below returns where code starts below a line that holds a comment.
func (s source) below(line int) token.Pos {
	file := s.set.File(s.tree.FileStart)
	for l := line + 1; l <= file.LineCount(); l++ {
		start := file.Offset(file.LineStart(l))
		rest, _, _ := strings.Cut(s.text[start:], "\n")
		code := strings.TrimLeft(rest, " \t")
		if code != "" && !strings.HasPrefix(code, "//") {
			return file.Pos(start + len(rest) - len(code))
		}
	}
	return token.NoPos
}

// sortRows puts A9 before A10.
func sortRows(rows []string) []string {
	return slices.SortedFunc(slices.Values(rows), func(a, b string) int {
		return cmp.Or(cmp.Compare(a[:1], b[:1]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
}
