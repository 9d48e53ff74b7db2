package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const defencesDir = "deploy/mutate/defences"

// block is one defence, and the tests that must notice when it is gone.
type block struct {
	at      string // file:line
	rows    []string
	file    string
	changes []change
	checks  []check
}

type change struct{ old, new []string }

func (b block) head() string { return strings.Join(b.rows, " ") + " " + b.file }

// takeOut tries every block and is content only if all are killed.
func takeOut(ctx context.Context, b *bench, only *regexp.Regexp) error {
	blocks, err := readBlocks(b.top)
	if err != nil {
		return err
	}
	blocks = slices.DeleteFunc(blocks, func(d block) bool { return !only.MatchString(d.head()) })
	if len(blocks) == 0 {
		return errors.New("no block is meant")
	}
	counts, rows := map[string]int{}, map[string]bool{}
	for _, d := range blocks {
		verdict, why, err := b.takeOut(ctx, d)
		if err != nil {
			return err
		}
		counts[verdict]++
		for _, r := range d.rows {
			rows[r] = true
		}
		fmt.Printf("%-8s  %s  %s", verdict, d.at, d.head())
		if why != "" {
			fmt.Print(": ", why)
		}
		fmt.Println()
	}
	fmt.Println("rows:", strings.Join(sortedRows(rows), " "))
	fmt.Printf("%d killed, %d survived, %d stale, %d broken\n", counts[killed], counts[survived], counts[stale], counts[broken])
	if counts[killed] < len(blocks) {
		return errors.New("not every defence is missed when it is gone")
	}
	return nil
}

func (b *bench) takeOut(ctx context.Context, d block) (verdict, why string, err error) {
	text, err := os.ReadFile(filepath.Join(b.top, d.file))
	if errors.Is(err, os.ErrNotExist) {
		return stale, "the file is gone", nil
	}
	if err != nil {
		return "", "", err
	}
	changed := string(text)
	for _, c := range d.changes {
		var n int
		if changed, n = c.apply(changed); n != 1 {
			return stale, fmt.Sprintf("the old text is there %d times: %q", n, c.old[0]), nil
		}
	}
	for _, c := range d.checks {
		verdict, why, err := b.try(ctx, d.file, changed, c)
		if err != nil {
			return "", "", err
		}
		if verdict != killed {
			return verdict, strings.TrimPrefix(why+"; "+c.pkg+" "+c.tests, "; "), nil
		}
	}
	return killed, "", nil
}

// apply replaces the old lines, and says how often they are there. Where they are
// there once as whole lines, that they are also part of a longer one does not matter.
func (c change) apply(text string) (string, int) {
	lines := strings.Split(text, "\n")
	at, n := 0, 0
	for i := range len(lines) - len(c.old) + 1 {
		if slices.Equal(lines[i:i+len(c.old)], c.old) {
			at, n = i, n+1
		}
	}
	if n == 1 {
		return strings.Join(slices.Replace(lines, at, at+len(c.old), c.new...), "\n"), 1
	}
	old := strings.Join(c.old, "\n")
	return strings.Replace(text, old, strings.Join(c.new, "\n"), 1), strings.Count(text, old)
}

func readBlocks(top string) ([]block, error) {
	files, err := filepath.Glob(filepath.Join(top, defencesDir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []block
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		blocks, err := parseBlocks(filepath.Base(f), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, blocks...)
	}
	return all, nil
}

// parseBlocks reads the blocks of one file. A block without a row, a change or a test is a mistake.
func parseBlocks(name, text string) ([]block, error) {
	var all []block
	var d block
	line := 0
	flush := func() error {
		done := d
		d = block{}
		switch {
		case done.at == "":
			return nil // only comments
		case len(done.changes) == 0 || len(done.checks) == 0:
			return fmt.Errorf("%s: a block needs a change and a test", done.at)
		}
		all = append(all, done)
		return nil
	}
	for l := range strings.Lines(text) {
		line++
		l = strings.TrimSuffix(l, "\n")
		if l == "" {
			if err := flush(); err != nil {
				return nil, err
			}
			continue
		}
		if err := d.read(fmt.Sprintf("%s:%d", name, line), l); err != nil {
			return nil, err
		}
	}
	err := flush()
	return all, err
}

// read takes one line into the block.
func (d *block) read(at, line string) error {
	rest := ""
	if len(line) > 2 {
		rest = line[2:]
	}
	mark := line
	if len(line) > 1 && line[1] == ' ' {
		mark = line[:1]
	}
	last := len(d.changes) - 1
	switch fields := strings.Fields(rest); {
	case mark == "#" || line[0] == '#':
		return nil
	case d.at == "":
		return d.begin(at, strings.Fields(line))
	case mark == "-" && (last < 0 || d.changes[last].new != nil):
		d.changes = append(d.changes, change{old: []string{rest}})
	case mark == "-":
		d.changes[last].old = append(d.changes[last].old, rest)
	case mark == "+" && last >= 0:
		d.changes[last].new = append(d.changes[last].new, rest)
	case mark == "!" && len(fields) == 2:
		if _, err := regexp.Compile(fields[1]); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		d.checks = append(d.checks, check{pkg: fields[0], tests: fields[1], limit: 5 * time.Minute})
	default:
		return fmt.Errorf("%s: not understood: %q", at, line)
	}
	return nil
}

var rowID = regexp.MustCompile(`^[A-Z][0-9]+[a-z]?$`)

func (d *block) begin(at string, head []string) error {
	if len(head) < 2 {
		return fmt.Errorf("%s: a block begins with rows and a file", at)
	}
	d.at, d.file, d.rows = at, head[len(head)-1], head[:len(head)-1]
	for _, r := range d.rows {
		if !rowID.MatchString(r) {
			return fmt.Errorf("%s: %q is not a row", at, r)
		}
	}
	if !filepath.IsLocal(d.file) {
		return fmt.Errorf("%s: %q is not a file of the repository", at, d.file)
	}
	return nil
}

// sortedRows puts A9 before A10.
func sortedRows(rows map[string]bool) []string {
	var all []string
	for r := range rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b string) int {
		if d := strings.Compare(a[:1], b[:1]); d != 0 {
			return d
		}
		if d := len(a) - len(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return all
}
