package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"gatehouse/broker/admin"
)

// helpWidth is the widest line of help.
const helpWidth = 80

// commandParser reads one command line.
type commandParser struct {
	*kong.Kong
	line *commandLine
	tool *tool
}

// newCommandParser builds the parser. A command that asks for an admin.Service opens the database
// only then.
func newCommandParser(ctx context.Context, t *tool) (*commandParser, error) {
	p := &commandParser{line: &commandLine{}, tool: t}
	var err error
	p.Kong, err = kong.New(p.line,
		kong.Name("gatehouse"),
		kong.Description("Gatehouse is an identity broker: it handles sign-in for your apps.\n\nStart with: gatehouse demo"),
		kong.Writers(t.out, t.err),
		kong.NoDefaultHelp(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth}),
		kong.Help(printHelp),
		kong.ExplicitGroups(groups()),
		kong.Bind(t),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindToProvider(func() (*admin.Service, error) { return t.admin(ctx) }),
	)
	return p, err
}

// showHelp shows the help or the version if args ask for it. It also shows help for no
// arguments and for the word help in front.
func (p *commandParser) showHelp(args []string) (shown bool, _ error) {
	asked := len(args) == 0
	if !asked && args[0] == "help" {
		args, asked = args[1:], true
	}
	trace, err := kong.Trace(p.Kong, args)
	if err != nil || trace.Error != nil {
		return false, nil // parse reports it
	}
	given := func(name string) bool {
		return slices.ContainsFunc(trace.Path, func(e *kong.Path) bool { return e.Flag != nil && e.Flag.Name == name })
	}
	switch {
	case asked || given("help"):
		return true, trace.PrintUsage(false)
	case given("version"):
		_, err := fmt.Fprintln(p.tool.out, version())
		return true, err
	}
	return false, nil
}

// version is the version of the module, which names the commit it was built from, and of Go.
func version() string {
	text := "gatehouse (unknown version)"
	if info, ok := debug.ReadBuildInfo(); ok {
		text = strings.TrimSpace("gatehouse " + info.Main.Version + " " + info.GoVersion)
	}
	return text
}

// printHelp prints kong's help and the example of a command.
func printHelp(o kong.HelpOptions, trace *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, trace); err != nil {
		return err
	}
	text := "\nRun \"gatehouse COMMAND --help\" for the flags of a command.\n"
	if n := trace.Selected(); n != nil && len(n.Children) == 0 {
		line := strings.TrimSpace(fullName(n) + " " + n.Tag.Get("example"))
		if len(line) > helpWidth-2 {
			last := strings.LastIndex(line, " --")
			line = line[:last] + " \\\n   " + line[last:]
		}
		text = "\nExample:\n  " + line + "\n"
	}
	_, err := fmt.Fprint(trace.Stdout, text)
	return err
}

// fullName is what a person types for a command. The name of a default command is left out.
func fullName(n *kong.Node) string {
	if n.Parent != nil && n.Parent.DefaultCmd == n {
		n = n.Parent
	}
	if n.Type == kong.ApplicationNode {
		return n.Name
	}
	return fullName(n.Parent) + " " + n.Name
}

// parse returns the name of the command and what runs it, or a misuse.
func (p *commandParser) parse(args []string) (name string, do func() error, _ error) {
	trace, err := p.Kong.Parse(args)
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		n := p.selected(wrong.Context)
		return fullName(n), nil, misuse(p.mistake(n, wrong))
	}
	if err != nil {
		return "gatehouse", nil, err
	}
	p.tool.config, p.tool.json = p.line.Config, p.line.JSON
	name = fullName(p.selected(trace))
	p.tool.creates = name == "gatehouse migrate" || strings.HasSuffix(name, " add")
	return name, func() error { return trace.Run() }, nil
}

// selected is the innermost command that args name.
func (p *commandParser) selected(trace *kong.Context) *kong.Node {
	if n := trace.Selected(); n != nil {
		return n
	}
	return p.Model.Node
}

// mistake says what is wrong with a command line. It quotes an argument only if it stands
// where a command was expected.
func (p *commandParser) mistake(n *kong.Node, wrong *kong.ParseError) string {
	word, unexpected := strings.CutPrefix(wrong.Error(), "unexpected argument ")
	var missing []string
	for _, arg := range n.Positional {
		if !slices.ContainsFunc(wrong.Context.Path, func(e *kong.Path) bool { return e.Positional == arg }) {
			missing = append(missing, strings.ReplaceAll(arg.Name, "|", " or "))
		}
	}
	switch {
	case unexpected && len(n.Children) == 0:
		return "too many arguments"
	case unexpected:
		return "unknown command " + word
	case wrong.Context.Error == nil && len(n.Children) > 0:
		var names []string
		for _, c := range n.Children {
			names = append(names, c.Name)
		}
		return "missing command; commands are " + strings.Join(names, ", ")
	case wrong.Context.Error == nil && len(missing) > 0:
		return "missing " + strings.Join(missing, " and ")
	}
	return wrong.Error()
}
