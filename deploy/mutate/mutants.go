package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// mutant is one changed place of a rule.
type mutant struct {
	file  string // relative to the top
	line  int
	kind  string // true, false, not, op, left, right, none or drop: what an excuse names
	key   string // function, original and change, to print
	edits []edit
}

type edit struct {
	from, to int
	text     string
}

// apply makes the changed file.
func (m mutant) apply(text string) string {
	edits := slices.SortedFunc(slices.Values(m.edits), func(a, b edit) int { return cmp.Compare(b.from, a.from) })
	for _, e := range edits {
		text = text[:e.from] + e.text + text[e.to:]
	}
	return text
}

// mutants lists every change of every function in the file.
func mutants(file, text string) ([]mutant, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	m := &mutator{set: set, file: file, text: text, twice: map[string]bool{}}
	for _, d := range tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			m.name = functionName(f)
			m.walk(f.Body, f.Type.Results)
		}
	}
	return m.all, nil
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

type mutator struct {
	set        *token.FileSet
	file, text string
	name       string          // of the function
	twice      map[string]bool // changes made already, by another way
	all        []mutant
}

func (m *mutator) offset(p token.Pos) int { return m.set.Position(p).Offset }

func (m *mutator) source(n ast.Node) string { return m.text[m.offset(n.Pos()):m.offset(n.End())] }

func (m *mutator) replace(n ast.Node, text string) edit {
	return edit{m.offset(n.Pos()), m.offset(n.End()), text}
}

func (m *mutator) add(at ast.Node, kind, old, changed string, edits ...edit) {
	if id := fmt.Sprint(edits); m.twice[id] {
		return
	} else {
		m.twice[id] = true
	}
	key := m.name + ": " + oneLine(old) + " -> " + oneLine(changed)
	m.all = append(m.all, mutant{m.file, m.set.Position(at.Pos()).Line, kind, key, edits})
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// walk visits a body whose returns have these results; a function inside has its own.
func (m *mutator) walk(body ast.Node, results *ast.FieldList) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			m.walk(n.Body, n.Type.Results)
			return false
		case *ast.IfStmt:
			m.condition(n.Cond)
		case *ast.SwitchStmt:
			m.cases(n)
		case *ast.BinaryExpr:
			m.operator(n)
		case *ast.Ident:
			m.literal(n)
		case *ast.ReturnStmt:
			m.answer(n, results)
		case *ast.BlockStmt:
			m.statements(n.List)
		case *ast.CaseClause:
			m.statements(n.Body)
		}
		return true
	})
}

// condition replaces a condition by true, false or its negation; its names stay used.
func (m *mutator) condition(e ast.Expr) {
	if id, ok := e.(*ast.Ident); ok && (id.Name == "true" || id.Name == "false") {
		return // see literal
	}
	s := m.source(e)
	m.add(e, "true", s, "true", m.replace(e, "true || ("+s+")"))
	m.add(e, "false", s, "false", m.replace(e, "false && ("+s+")"))
	if b, ok := e.(*ast.BinaryExpr); !ok || opposite[b.Op] == nil { // see operator
		m.add(e, "not", s, "!("+s+")", m.replace(e, "!("+s+")"))
	}
}

// cases does the same for the cases of a switch. It first rewrites cases of a switch with
// a tag as comparisons.
func (m *mutator) cases(n *ast.SwitchStmt) {
	var all []ast.Expr
	for _, c := range n.Body.List {
		all = append(all, c.(*ast.CaseClause).List...)
	}
	if n.Tag == nil {
		for _, e := range all {
			m.condition(e)
		}
		return
	}
	tag := m.source(n.Tag)
	written := []edit{m.replace(n.Tag, "")}
	for _, e := range all {
		written = append(written, m.replace(e, tag+" == ("+m.source(e)+")"))
	}
	for i, e := range all {
		old, s := tag+" == "+m.source(e), written[i+1].text
		for _, to := range [][3]string{{"true", "true", "true || (" + s + ")"}, {"false", "false", "false && (" + s + ")"},
			{"not", "!(" + old + ")", "!(" + s + ")"}} {
			edits := slices.Clone(written)
			edits[i+1].text = to[2]
			m.add(e, to[0], old, to[1], edits...)
		}
	}
}

// opposite lists the replacements of each operator.
var opposite = map[token.Token][]string{
	token.EQL: {"!="}, token.NEQ: {"=="},
	token.LSS: {"<=", ">="}, token.LEQ: {"<", ">"}, token.GTR: {">=", "<="}, token.GEQ: {">", "<"},
}

func (m *mutator) operator(n *ast.BinaryExpr) {
	x, y, s := m.source(n.X), m.source(n.Y), m.source(n)
	for _, op := range opposite[n.Op] {
		m.add(n, "op", s, x+" "+op+" "+y, m.replace(n, "("+x+" "+op+" "+y+")"))
	}
	// Removing either operand must be noticed too.
	switch n.Op {
	case token.LAND:
		m.add(n.Y, "op", s, x+" || "+y, m.replace(n, "("+x+" || "+y+")"))
		m.add(n.Y, "left", s, "true && "+y, m.replace(n.X, "(true || ("+x+"))"))
		m.add(n.Y, "right", s, x+" && true", m.replace(n.Y, "(true || ("+y+"))"))
	case token.LOR:
		m.add(n.Y, "op", s, x+" && "+y, m.replace(n, "(("+x+") && ("+y+"))"))
		m.add(n.Y, "left", s, "false || "+y, m.replace(n.X, "(false && ("+x+"))"))
		m.add(n.Y, "right", s, x+" || false", m.replace(n.Y, "(false && ("+y+"))"))
	}
}

func (m *mutator) literal(n *ast.Ident) {
	switch n.Name {
	case "true":
		m.add(n, "false", "true", "false", m.replace(n, "false"))
	case "false":
		m.add(n, "true", "false", "true", m.replace(n, "true"))
	}
}

// answer replaces a returned error, Code, reason or value by none, and true by false.
func (m *mutator) answer(n *ast.ReturnStmt, results *ast.FieldList) {
	if results == nil || len(n.Results) != results.NumFields() {
		return // one call answers all
	}
	i := 0
	for _, field := range results.List {
		for range max(1, len(field.Names)) {
			m.result(n, n.Results[i], field.Type)
			i++
		}
	}
}

func (m *mutator) result(n *ast.ReturnStmt, e, declared ast.Expr) {
	none := "nil"
	switch t := declared.(type) {
	case *ast.StarExpr, *ast.ArrayType, *ast.MapType:
	case *ast.Ident:
		switch t.Name {
		case "error":
		case "Code", "string":
			none = `""`
		case "bool":
			m.condition(e)
			return
		default:
			return
		}
	default:
		return
	}
	if s := m.source(e); s != none {
		head := m.text[m.offset(n.Pos()):m.offset(e.Pos())]
		tail := m.text[m.offset(e.End()):m.offset(n.End())]
		m.add(e, "none", m.source(n), head+none+tail, m.replace(e, none))
	}
}

// statements drops assignments. The right side is still evaluated, so that nothing is
// left unused.
func (m *mutator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.IncDecStmt:
			m.add(s, "drop", m.source(s), "dropped", m.replace(s, ""))
		case *ast.AssignStmt:
			var right []string
			for _, e := range s.Rhs {
				right = append(right, m.source(e))
			}
			left := strings.TrimSuffix(strings.Repeat("_, ", len(s.Lhs)), ", ")
			if text := left + " = " + strings.Join(right, ", "); text != m.source(s) {
				m.add(s, "drop", m.source(s), "dropped", m.replace(s, text))
			}
		}
	}
}
