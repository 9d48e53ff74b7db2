package web

import (
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"gatehouse/broker/text"
)

// funcs are the functions of a template, in addition to the methods of its Page.
func (k *Toolkit) funcs() template.FuncMap {
	return template.FuncMap{
		"asset": k.assets.href,
		"icon":  k.assets.icon,
		"args":  textArgs,
		"dict":  dict,
		"field": newField,
		// These partials need no checks and take a dict.
		"idp": partial, "chip": partial, "banner": partial, "links": partial,
	}
}

// dict builds a map from names and values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("expected pairs of a name and a value")
	}
	d := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is not a name", pairs[i])
		}
		d[name] = pairs[i+1]
	}
	return d, nil
}

func textArgs(pairs ...any) (text.Args, error) {
	d, err := dict(pairs...)
	return text.Args(d), err
}

// partial is a dict with the page as "P".
func partial(p Page, pairs ...any) (map[string]any, error) {
	return dict(append([]any{"P", p}, pairs...)...)
}

// fieldView is one labelled input.
type fieldView struct {
	P                       Page
	ID, Label, Hint, Error  string
	Aside, AsideHref        string
	Secret, Check, Readonly bool
	Input                   template.HTMLAttr
}

// The attributes that a template may set on an input. maxlength must not cut what a person may paste, and
// autocomplete=off is refused (UX.md §2.2).
var inputAttrs = []string{"name", "type", "value", "autocomplete", "inputmode", "autocapitalize", "spellcheck",
	"required",
	"readonly", "checked", "pattern", "maxlength", "minlength", "enterkeyhint", "passwordrules", "dir"}

// newField builds an input with label, hint, error and aria attributes. Pairs: "name" (also the id), "label",
// "hint", "aside" and "href" (a link next to the label), "autofocus", and the attributes of inputAttrs.
func newField(p Page, pairs ...any) (fieldView, error) {
	d, err := dict(pairs...)
	if err != nil {
		return fieldView{}, err
	}
	word := func(name string) string { s, _ := d[name].(string); return s }
	f := fieldView{P: p, ID: word("name"), Label: word("label"), Hint: word("hint"), Aside: word("aside"),
		AsideHref: word("href"),
		Secret:    word("type") == "password", Check: word("type") == "checkbox", Readonly: d["readonly"] == true}
	if f.ID == "" || f.Label == "" {
		return fieldView{}, errors.New("a field needs a name and a label")
	}
	if d["autocomplete"] == "off" {
		return fieldView{}, errors.New("autocomplete=off would disable password managers")
	}
	if i := slices.IndexFunc(p.Problem, func(x Problem) bool { return x.Field == f.ID }); i >= 0 {
		f.Error = p.Problem[i].Text
	}
	if f.Secret {
		d["spellcheck"], d["autocapitalize"] = "false", "none" // a browser's spelling service must not see it when shown
	}
	var b strings.Builder
	for _, name := range inputAttrs {
		writeAttr(&b, name, d[name])
	}
	f.aria(&b, d["autofocus"] == true)
	for name := range d {
		if !slices.Contains(inputAttrs, name) && !slices.Contains([]string{"label", "hint", "aside", "href", "autofocus"},
			name) {
			return fieldView{}, fmt.Errorf("a field has no attribute %q", name)
		}
	}
	f.Input = template.HTMLAttr(b.String())
	return f, nil
}

func (f fieldView) aria(b *strings.Builder, autofocus bool) {
	writeAttr(b, "id", f.ID)
	var described []string
	if f.Hint != "" {
		described = append(described, f.ID+"-hint")
	}
	if f.Error != "" {
		described = append(described, f.ID+"-error")
		writeAttr(b, "aria-invalid", "true")
	}
	writeAttr(b, "aria-describedby", strings.Join(described, " "))
	if len(f.P.Problem) > 0 { // the first wrong field has the focus, or else the summary
		bad := slices.IndexFunc(f.P.Problem, func(x Problem) bool { return x.Field != "" })
		autofocus = bad >= 0 && f.P.Problem[bad].Field == f.ID
	}
	writeAttr(b, "autofocus", autofocus)
}

// writeAttr writes nothing for false, nil and "".
func writeAttr(b *strings.Builder, name string, v any) {
	switch v := v.(type) {
	case nil:
	case bool:
		if v {
			b.WriteString(" " + name)
		}
	default:
		if s := fmt.Sprint(v); s != "" {
			// Typed text may be invalid UTF-8 or contain NUL; a page must not.
			b.WriteString(" " + name + `="` + template.HTMLEscapeString(strings.ToValidUTF8(s, "")) + `"`)
		}
	}
}

// inline matches what the Content-Security-Policy would drop, and what breaks keyboard navigation.
var inline = regexp.MustCompile(`(?i)\sstyle\s*=|\son[a-z]+\s*=|<script(?:\s[^>]*)?>[^<]|<style|javascript:` +
	`|tabindex="[1-9]|(?:src|srcset)="(?:https?:)?//`)

var postForm = regexp.MustCompile(`<form[^>]*method="post"[^>]*>`)

// unmarked returns a form that posts to us without its token. A form that posts itself leaves for another site.
func unmarked(source []byte) string {
	for _, at := range postForm.FindAllIndex(source, -1) {
		form := string(source[at[0]:at[1]])
		if !strings.HasPrefix(string(source[at[1]:]), `{{template "token" $}}`) && !strings.Contains(form, "data-autopost") {
			return form
		}
	}
	return ""
}

// checkPage finds template errors that would otherwise appear only at run time.
func (k *Toolkit) checkPage(t *template.Template, pages fs.FS, name string) error {
	source, err := fs.ReadFile(pages, name)
	if err != nil {
		return err
	}
	if found := inline.Find(source); found != nil {
		return fmt.Errorf("%q is not allowed in a page", found)
	}
	if found := unmarked(source); found != "" {
		return fmt.Errorf(`%s needs {{template "token" $}} after it`, found)
	}
	for _, need := range []string{"title", "main"} {
		if t.Lookup(need) == nil {
			return fmt.Errorf("it must define %q", need)
		}
	}
	var problems []error
	for _, one := range t.Templates() {
		if one.Tree != nil {
			walk(one.Tree.Root, func(c *parse.CommandNode) { problems = append(problems, k.checkText(c)) })
		}
	}
	return errors.Join(problems...)
}

// checkText checks every .T "key" of a template against the catalog.
func (k *Toolkit) checkText(c *parse.CommandNode) error {
	call := c.Args[0].String()
	markup := call == ".TH" || strings.HasSuffix(call, ".TH")
	if len(c.Args) < 2 || (!markup && call != ".T" && !strings.HasSuffix(call, ".T")) {
		return nil
	}
	lit, ok := c.Args[1].(*parse.StringNode)
	if !ok {
		return nil
	}
	if !k.Texts.Has(lit.Text) {
		return fmt.Errorf("unknown text %q", lit.Text)
	}
	if markup != strings.HasSuffix(lit.Text, "_html") {
		return fmt.Errorf(".TH is for keys that end in _html, .T for all others: %q", lit.Text)
	}
	for _, h := range k.Texts.Holders(lit.Text) {
		if i, err := strconv.Atoi(h); err == nil && i >= len(c.Args)-2 {
			return fmt.Errorf("%q needs {%s}", lit.Text, h)
		}
	}
	return nil
}

// walk visits every command under a node, including those in parentheses.
func walk(n parse.Node, visit func(*parse.CommandNode)) {
	pipe := func(p *parse.PipeNode) {
		if p != nil {
			walk(p, visit)
		}
	}
	branch := func(b *parse.BranchNode) {
		pipe(b.Pipe)
		walk(b.List, visit)
		if b.ElseList != nil {
			walk(b.ElseList, visit)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, c := range n.Nodes {
				walk(c, visit)
			}
		}
	case *parse.ActionNode:
		pipe(n.Pipe)
	case *parse.TemplateNode:
		pipe(n.Pipe)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			visit(c)
			for _, a := range c.Args {
				walk(a, visit)
			}
		}
	}
}

// self returns the address of this page, nil if it cannot be requested again.
func self(r *http.Request) *url.URL {
	if path, ok := r.Context().Value(keySelf).(string); ok {
		if u, err := url.Parse(path); err == nil && local(path) {
			return u
		}
		return nil
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !local(r.URL.EscapedPath()) {
		return nil
	}
	return &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
}

// local reports whether a browser stays on this origin when it follows the path; "//host" and "/\host" leave it.
func local(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "\\\t\r\n")
}
