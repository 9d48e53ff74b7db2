package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	rulesDir     = "broker"
	excusePrefix = "//equivalent:"
	atOnce       = 2
)

// notRules are the files of package broker without rules. Every other one is tried, so a rule that moves stays in.
var notRules = []string{
	"code.go",      // the table of refusals: text and status, tested row by row
	"event.go",     // words of the audit log
	"ports.go",     // interfaces
	"ephemeral.go", // storetest proves it on every backend
}

// changeRules tries every mutant and returns an error for a survivor without an excuse.
func changeRules(ctx context.Context, b *bench, only *regexp.Regexp) error {
	all, excuses, texts, err := ruleMutants(b.top, only)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("-only matches no rule")
	}
	verdicts, err := b.tryAll(ctx, all, texts)
	if err != nil {
		return err
	}
	report, wrong := judge(all, verdicts, excuses, only.String() == "")
	fmt.Print(report)
	if wrong {
		return errors.New("the tests and the excuses do not account for every change of the rules")
	}
	return nil
}

// judge compares the survivors with the excuses. If all rules were tried, each excuse must excuse one.
func judge(all []mutant, verdicts []string, excuses []excuse, complete bool) (report string, wrong bool) {
	var out strings.Builder
	counts, used := map[string]int{}, map[excuse]bool{}
	for i, m := range all {
		verdict, e := verdicts[i], excuse{m.file, m.line, m.kind}
		switch excused := slices.Contains(excuses, e); {
		case verdict == survived && excused:
			verdict, used[e] = "equivalent", true
		case verdict == survived:
			wrong = true
			fmt.Fprintf(&out, "%s  %s:%d  %s  %s\n", survived, m.file, m.line, m.kind, m.key)
		}
		counts[verdict]++
	}
	for _, e := range excuses {
		if complete && !used[e] {
			wrong = true
			fmt.Fprintf(&out, "%s:%d: no %q survives that could be excused\n", e.file, e.line, e.kind)
		}
	}
	fmt.Fprintf(&out, "%d killed, %d survived, %d equivalent, %d do not compile\n",
		counts[killed], counts[survived], counts["equivalent"], counts[broken])
	return out.String(), wrong
}

// excuse states that no test can notice one kind of change to a line.
type excuse struct {
	file string
	line int // of the code
	kind string
}

var excuseText = regexp.MustCompile(`^` + excusePrefix + `([a-z]+(?:,[a-z]+)*) \S`)

// readExcuses reads the comments that begin with excusePrefix. Each names the kinds and gives a reason.
func readExcuses(file, text string) ([]excuse, error) {
	var all []excuse
	var open []string
	line := 0
	for l := range strings.Lines(text) {
		line++
		switch l = strings.TrimSpace(l); {
		case strings.HasPrefix(l, excusePrefix):
			m := excuseText.FindStringSubmatch(l)
			if m == nil {
				return nil, fmt.Errorf("%s:%d: an excuse is %sKIND,KIND REASON", file, line, excusePrefix)
			}
			open = append(open, strings.Split(m[1], ",")...)
		case !strings.HasPrefix(l, "//"):
			for _, kind := range open {
				all = append(all, excuse{file, line, kind})
			}
			open = nil
		}
	}
	return all, nil
}

// ruleMutants lists the mutants and the excuses of the files, and the files' texts.
func ruleMutants(top string, only *regexp.Regexp) (all []mutant, excuses []excuse, texts map[string]string, err error) {
	files, err := filepath.Glob(filepath.Join(top, rulesDir, "*.go"))
	if err != nil {
		return nil, nil, nil, err
	}
	texts = map[string]string{}
	for _, f := range files {
		name := filepath.Base(f)
		if strings.HasSuffix(name, "_test.go") || slices.Contains(notRules, name) {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, nil, nil, err
		}
		file := path.Join(rulesDir, name)
		texts[file] = string(text)
		some, err := mutants(file, string(text))
		if err != nil {
			return nil, nil, nil, err
		}
		all = append(all, some...)
		given, err := readExcuses(file, string(text))
		if err != nil {
			return nil, nil, nil, err
		}
		excuses = append(excuses, given...)
	}
	all = slices.DeleteFunc(all, func(m mutant) bool {
		function, _, _ := strings.Cut(m.key, ":")
		return !only.MatchString(m.file + " " + function)
	})
	return all, excuses, texts, nil
}

// tryAll runs the tests of the rules against every mutant.
func (b *bench) tryAll(ctx context.Context, all []mutant, texts map[string]string) ([]string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	verdicts := make([]string, len(all))
	next := make(chan int)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				m := all[i]
				c := check{pkg: "./" + rulesDir, limit: 30 * time.Second}
				verdict, why, err := b.try(ctx, m.file, m.apply(texts[m.file]), c)
				if err == nil && verdict == broken && !strings.HasPrefix(why, "does not compile") {
					err = errors.New(why)
				}
				if err != nil {
					cancel(err)
					return
				}
				verdicts[i] = verdict
			}
		})
	}
feed:
	for i := range all {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
		if (i+1)%50 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d\n", i+1, len(all))
		}
	}
	close(next)
	workers.Wait()
	return verdicts, context.Cause(ctx)
}
