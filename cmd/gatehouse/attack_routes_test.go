package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// blueprint reads the source of the packages for what a stranger can reach: the
// patterns that they mount, and the names of the parameters that they read.
// So a new route or parameter is attacked without a new test.
type blueprint struct {
	t      *testing.T
	files  []*ast.File
	consts map[string]ast.Expr
	found  []string
}

// env holds the possible values of an identifier while a function is read.
type env struct {
	values  map[string][]string
	helpers map[string]*ast.FuncLit
}

// mountedRoutes lists the patterns of the public listener, such as "GET /login/{id}".
func mountedRoutes(t *testing.T) []string {
	t.Helper()
	rooms, err := filepath.Glob("../../broker/*")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, dir := range append(rooms, ".") {
		b := readBlueprint(t, dir)
		for _, f := range b.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && (fn.Name.Name == "Mount" || fn.Name.Name == "assemble") {
					b.walk(fn.Body.List, env{map[string][]string{}, map[string]*ast.FuncLit{}})
				}
			}
		}
		all = append(all, b.found...)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) < 40 {
		t.Fatalf("only %d routes were found: %v", len(all), all)
	}
	return all
}

func readBlueprint(t *testing.T, dir string) *blueprint {
	t.Helper()
	b := &blueprint{t: t, consts: map[string]ast.Expr{}}
	names, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		b.files = append(b.files, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == len(v.Names) {
				for i, name := range v.Names {
					b.consts[name.Name] = v.Values[i]
				}
			}
			return true
		})
	}
	return b
}

func (b *blueprint) walk(body []ast.Stmt, e env) {
	for _, s := range body {
		switch s := s.(type) {
		case *ast.AssignStmt:
			for i, right := range s.Rhs {
				if fn, ok := right.(*ast.FuncLit); ok {
					e.helpers[s.Lhs[i].(*ast.Ident).Name] = fn
				}
			}
		case *ast.RangeStmt:
			if v, ok := s.Value.(*ast.Ident); ok {
				e.values[v.Name] = b.eval(s.X, e)
				b.walk(s.Body.List, e)
			}
		case *ast.IfStmt: // what a setting turns on, newAttackHarness turns on
			b.walk(s.Body.List, e)
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				b.call(call, e)
			}
		}
	}
}

func (b *blueprint) call(c *ast.CallExpr, e env) {
	switch fn := c.Fun.(type) {
	case *ast.SelectorExpr:
		if on, ok := fn.X.(*ast.Ident); ok && on.Name == "mux" && strings.HasPrefix(fn.Sel.Name, "Handle") {
			b.found = append(b.found, b.must(c.Args[0], e)...)
		}
	case *ast.Ident:
		if helper := e.helpers[fn.Name]; helper != nil {
			inside := env{map[string][]string{helper.Type.Params.List[0].Names[0].Name: b.must(c.Args[0], e)}, e.helpers}
			b.walk(helper.Body.List, inside)
		}
	}
}

func (b *blueprint) must(x ast.Expr, e env) []string {
	values := b.eval(x, e)
	if len(values) == 0 {
		b.t.Fatalf("a route is mounted in a way that this test cannot read: %T; teach it", x)
	}
	return values
}

// eval returns the possible values of a string expression, nothing if they are unknown.
func (b *blueprint) eval(x ast.Expr, e env) (all []string) {
	switch x := x.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			all = []string{s}
		}
	case *ast.Ident:
		if all = e.values[x.Name]; all == nil && b.consts[x.Name] != nil {
			all = b.eval(b.consts[x.Name], e)
		}
	case *ast.BinaryExpr:
		for _, left := range b.eval(x.X, e) {
			for _, right := range b.eval(x.Y, e) {
				all = append(all, left+right)
			}
		}
	case *ast.CompositeLit:
		for _, el := range x.Elts {
			all = append(all, b.eval(el, e)...)
		}
	}
	return all
}

// readParameters lists every name that request handlers look up in a
// form, a query or a response.
func readParameters(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"../../broker/account", "../../broker/login", "../../broker/oidc", "../../broker/web",
		"../../providers"} {
		b := readBlueprint(t, dir)
		for _, f := range b.files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					fn, ok := n.Fun.(*ast.SelectorExpr)
					if ok && len(n.Args) == 1 && slices.Contains([]string{"Get", "Has", "FormValue", "PostFormValue"}, fn.Sel.Name) {
						all = append(all, b.eval(n.Args[0], env{})...)
					}
				case *ast.IndexExpr:
					all = append(all, b.eval(n.Index, env{})...)
				}
				return true
			})
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool {
		return s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_0123456789") != ""
	})
	slices.Sort(all)
	all = slices.Compact(all)
	for _, known := range []string{"redirect_uri", "password", "leaving", "posted", "sso_error", "signed_request",
		"lang"} {
		if !slices.Contains(all, known) {
			t.Fatalf("the parameter %q is not among %v", known, all)
		}
	}
	return all
}
