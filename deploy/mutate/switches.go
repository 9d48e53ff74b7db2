package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

const (
	switchesDir = "deploy/mutate/switches" // exists in the overlay only
	switchesEnv = "MUTANT"
	pkg         = "switch_" // what it is called where it is imported
)

// switches is the package that every instrumented file imports. The environment names the one defence that is out.
const switches = `package switches

import "os"

var out = os.Getenv("` + switchesEnv + `")

func On(id string) bool { return out != id }

func Off(id string) bool { return out == id }

func Pick[T any](id string, v, other T) T {
	if out == id {
		return other
	}
	return v
}

func Keep[T any](id string, v T) T {
	var zero T
	return Pick(id, v, zero)
}

func Rest(id string, v ...any) []any { return Pick(id, v, nil) }

func Zero1[A any](A) (a A)                               { return }
func Zero2[A, B any](A, B) (a A, b B)                    { return }
func Zero3[A, B, C any](A, B, C) (a A, b B, c C)         { return }
`

// insert is text that goes in front of an offset. A close ends what an open of the same rank began.
type insert struct {
	at, rank int
	close    bool
	text     string
}

// instrument returns the file with a switch at each anchor. Lines stay where they are.
func (s source) instrument(module string) string {
	i := instrumented{source: s}
	i.add(s.tree.Name.End(), s.tree.Name.End(), fmt.Sprintf("; import %s %q", pkg, path.Join(module, switchesDir)), "")
	for n := range s.anchors {
		a := &s.anchors[n]
		if a.wrong == "" {
			a.wrong = i.guard(*a, s.node(*a))
		}
	}
	slices.SortStableFunc(i.inserts, func(a, b insert) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case a.close != b.close: // what ends here before what begins here
			return boolOrder(b.close, a.close)
		case a.close:
			return cmp.Compare(b.rank, a.rank)
		}
		return cmp.Compare(a.rank, b.rank)
	})
	var out strings.Builder
	from := 0
	for _, in := range i.inserts {
		out.WriteString(s.text[from:in.at] + in.text)
		from = in.at
	}
	return out.String() + s.text[from:]
}

func boolOrder(a, b bool) int {
	if a == b {
		return 0
	}
	if a {
		return 1
	}
	return -1
}

type instrumented struct {
	source
	inserts []insert
}

func (i *instrumented) add(from, to token.Pos, open, end string) {
	file, rank := i.set.File(i.tree.FileStart), len(i.inserts)
	i.inserts = append(i.inserts, insert{file.Offset(from), rank, false, open})
	if end != "" {
		i.inserts = append(i.inserts, insert{file.Offset(to), rank, true, end})
	}
}

func (i *instrumented) around(n ast.Node, open, end string) { i.add(n.Pos(), n.End(), open, end) }

// guardable reports whether guard has a rule for a node.
func guardable(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BlockStmt, *ast.LabeledStmt, *ast.CommClause, *ast.EmptyStmt:
		return false
	case *ast.CaseClause:
		return n.List != nil
	case *ast.DeclStmt:
		return false // its specification is
	case *ast.GenDecl:
		return n.Tok == token.VAR || n.Tok == token.CONST
	case ast.Stmt, ast.Expr, *ast.ValueSpec:
		return true
	}
	return false
}

// guard puts the switch of an anchor around a node, or returns why it can't.
func (i *instrumented) guard(a anchor, nodes []ast.Node) string {
	if nodes == nil {
		return "nothing that can be taken out starts on the line below"
	}
	n := nodes[len(nodes)-1]
	switch n := n.(type) {
	case *ast.IfStmt:
		i.condition(a, n.Cond, token.LOR)
	case *ast.CaseClause:
		if s, ok := nodes[len(nodes)-3].(*ast.SwitchStmt); !ok || s.Tag != nil {
			return "a case of a switch with a tag: anchor a statement of its body instead"
		}
		for _, e := range n.List {
			i.condition(a, e, token.LOR)
		}
	case *ast.AssignStmt:
		return i.assignment(a, n)
	case *ast.ReturnStmt:
		return i.result(a, n, nodes)
	case *ast.GenDecl:
		if len(n.Specs) != 1 || n.Lparen.IsValid() {
			return "anchor one of the specifications"
		}
		return i.specification(a, n, n.Specs[0].(*ast.ValueSpec))
	case *ast.ValueSpec:
		return i.specification(a, nodes[len(nodes)-2].(*ast.GenDecl), n)
	case ast.Stmt:
		if a.value != "" {
			return "a statement has no value"
		}
		i.around(n, fmt.Sprintf("if %s.On(%q) { ", pkg, a.id()), " }")
	case *ast.KeyValueExpr:
		i.value(a, n.Value)
	case ast.Expr:
		return i.expression(a, n, nodes[:len(nodes)-1])
	}
	return ""
}

// condition makes an expression neutral beside others: false in front of ||, true in front of &&.
func (i *instrumented) condition(a anchor, e ast.Expr, op token.Token) {
	switch {
	case a.value == "true" || a.value == "" && op == token.LAND:
		i.around(e, fmt.Sprintf("(%s.Off(%q) || (", pkg, a.id()), "))")
	case a.value == "false" || a.value == "":
		i.around(e, fmt.Sprintf("(%s.On(%q) && (", pkg, a.id()), "))")
	default:
		i.value(a, e)
	}
}

// value makes an expression the anchor's value, or its zero value.
func (i *instrumented) value(a anchor, e ast.Expr) {
	if a.value == "" {
		i.around(e, fmt.Sprintf("%s.Keep(%q, ", pkg, a.id()), ")")
		return
	}
	i.around(e, fmt.Sprintf("%s.Pick(%q, ", pkg, a.id()), ", "+a.value+")")
}

func (i *instrumented) expression(a anchor, e ast.Expr, above []ast.Node) string {
	switch p := above[len(above)-1].(type) {
	case *ast.BinaryExpr:
		if p.Op == token.LAND || p.Op == token.LOR {
			i.condition(a, e, p.Op)
			return ""
		}
	case *ast.SelectorExpr:
		call, ok := above[len(above)-2].(*ast.CallExpr)
		if !ok || e != ast.Expr(p.Sel) || len(call.Args) == 0 || a.value != "" {
			return "only a call with arguments can be taken out of a chain"
		}
		i.value(a, call.Args[0])
		if rest := call.Args[1:]; len(rest) > 0 && !call.Ellipsis.IsValid() {
			i.add(rest[0].Pos(), rest[len(rest)-1].End(), fmt.Sprintf("%s.Rest(%q, ", pkg, a.id()), ")...")
		}
		return ""
	}
	i.value(a, e)
	return ""
}

func (i *instrumented) assignment(a anchor, n *ast.AssignStmt) string {
	single := len(n.Lhs) == 1 && len(n.Rhs) == 1
	switch {
	case a.value != "" && (n.Tok != token.DEFINE || !single):
		i.around(n, " ", fmt.Sprintf("; if %s.Off(%q) { %s = %s }", pkg, a.id(), i.left(n), a.value))
	case a.value != "" || n.Tok == token.DEFINE && single:
		i.value(a, n.Rhs[0])
	case n.Tok != token.DEFINE:
		i.around(n, fmt.Sprintf("if %s.On(%q) { ", pkg, a.id()), " }")
	default: // what is defined has to be there, so it is worked out and forgotten
		var names []string
		for _, l := range n.Lhs {
			if name := l.(*ast.Ident).Name; name != "_" {
				names = append(names, name)
			}
		}
		all := strings.Join(names, ", ")
		i.around(n, " ", fmt.Sprintf("; if %s.Off(%q) { %s = %s.Zero%d(%s) }", pkg, a.id(), all, pkg, len(names), all))
	}
	return ""
}

// left is the left side of an assignment.
func (i *instrumented) left(n *ast.AssignStmt) string {
	return i.text[i.set.Position(n.Pos()).Offset:i.set.Position(n.TokPos).Offset]
}

// result makes a function return nothing: the zero value of each result.
func (i *instrumented) result(a anchor, n *ast.ReturnStmt, above []ast.Node) string {
	if a.value != "" {
		i.around(n, fmt.Sprintf("if %s.Off(%q) { return %s }; ", pkg, a.id(), a.value), "")
		return ""
	}
	var zeros, names []string
	for _, t := range results(above) {
		name := fmt.Sprintf("zero_%d", len(names))
		from, to := i.set.Position(t.Pos()).Offset, i.set.Position(t.End()).Offset
		zeros, names = append(zeros, "var "+name+" "+i.text[from:to]+"; "), append(names, name)
	}
	all := strings.Join(zeros, "") + "return " + strings.Join(names, ", ")
	i.around(n, fmt.Sprintf("if %s.Off(%q) { %s }; ", pkg, a.id(), all), "")
	return ""
}

// results lists the types of the innermost function's results, one for each.
func results(above []ast.Node) []ast.Expr {
	for _, n := range slices.Backward(above) {
		var t *ast.FuncType
		switch n := n.(type) {
		case *ast.FuncLit:
			t = n.Type
		case *ast.FuncDecl:
			t = n.Type
		default:
			continue
		}
		var all []ast.Expr
		if t.Results != nil {
			for _, field := range t.Results.List {
				all = append(all, slices.Repeat([]ast.Expr{field.Type}, max(1, len(field.Names)))...)
			}
		}
		return all
	}
	return nil
}

// specification makes a constant a variable, which its group is opened for.
func (i *instrumented) specification(a anchor, d *ast.GenDecl, n *ast.ValueSpec) string {
	if len(n.Names) != 1 || len(n.Values) != 1 {
		return "one name with one value can be anchored"
	}
	switch {
	case d.Tok == token.CONST && d.Lparen.IsValid():
		i.around(n, "); var ", "; const (")
	case d.Tok == token.CONST:
		return "put the constant into a group"
	}
	i.value(a, n.Values[0])
	return ""
}
