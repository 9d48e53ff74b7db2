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
	rulesDir       = "broker"
	equivalentFile = "deploy/mutate/equivalent.txt"
	atOnce         = 2
)

// notRules are the files of the hall that decide nothing about anybody; every other
// one is tried, so a rule that moves stays in.
var notRules = []string{
	"code.go",  // the table of refusals: text and status, tested row by row
	"event.go", // words of the audit log
	"ports.go", // interfaces
	"shelf.go", // storetest proves it on every backend
}

// changeRules tries every mutant and is content only with survivors that
// equivalent.txt argues for.
func changeRules(ctx context.Context, b *bench, only *regexp.Regexp) error {
	all, texts, err := ruleMutants(b.top, only)
	if err != nil {
		return err
	}
	argued, err := readEquivalent(filepath.Join(b.top, equivalentFile))
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no rule is meant")
	}
	verdicts, err := b.tryAll(ctx, all, texts)
	if err != nil {
		return err
	}
	report, wrong := judge(all, verdicts, argued, only.String() == "")
	fmt.Print(report)
	if wrong {
		return errors.New("the rules' tests and equivalent.txt do not account for every change")
	}
	return nil
}

// judge compares what survived with what was argued to be equivalent.
func judge(all []mutant, verdicts []string, argued []string, complete bool) (report string, wrong bool) {
	var out strings.Builder
	counts, met := map[string]int{}, map[string]bool{}
	for i, m := range all {
		met[m.key] = true
		verdict, excused := verdicts[i], slices.Contains(argued, m.key)
		switch {
		case verdict == survived && excused:
			verdict = "equivalent"
		case verdict == survived:
			wrong = true
			fmt.Fprintf(&out, "%s  %s:%d  %s\n", survived, m.file, m.line, m.key)
		case excused:
			wrong = true
			fmt.Fprintf(&out, "no equivalent, it is %s: %s\n", verdict, m.key)
		}
		counts[verdict]++
	}
	for _, key := range argued {
		if complete && !met[key] {
			wrong = true
			fmt.Fprintf(&out, "there is no such change: %s\n", key)
		}
	}
	fmt.Fprintf(&out, "%d killed, %d survived, %d equivalent, %d do not compile\n", counts[killed], counts[survived], counts["equivalent"], counts[broken])
	return out.String(), wrong
}

// ruleMutants lists the mutants of the files, and the files' texts.
func ruleMutants(top string, only *regexp.Regexp) (all []mutant, texts map[string]string, err error) {
	files, err := filepath.Glob(filepath.Join(top, rulesDir, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	texts = map[string]string{}
	for _, f := range files {
		name := filepath.Base(f)
		if strings.HasSuffix(name, "_test.go") || slices.Contains(notRules, name) {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, nil, err
		}
		file := path.Join(rulesDir, name)
		texts[file] = string(text)
		some, err := mutants(file, string(text))
		if err != nil {
			return nil, nil, err
		}
		all = append(all, some...)
	}
	all = slices.DeleteFunc(all, func(m mutant) bool {
		function, _, _ := strings.Cut(m.key, ":")
		return !only.MatchString(m.file + " " + function)
	})
	return all, texts, nil
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
				verdict, why, err := b.try(ctx, m.file, m.apply(texts[m.file]), check{pkg: "./" + rulesDir, limit: 30 * time.Second})
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

// readEquivalent takes the keys: the first line of every paragraph. The lines below
// are the argument, and there must be one.
func readEquivalent(file string) (keys []string, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		key, argument, _ := strings.Cut(strings.TrimSpace(paragraph), "\n")
		switch {
		case key == "" || strings.HasPrefix(key, "#"):
			continue
		case strings.TrimSpace(argument) == "":
			return nil, fmt.Errorf("%s: nothing is argued for %s", file, key)
		case slices.Contains(keys, key):
			return nil, fmt.Errorf("%s: %s is there twice", file, key)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
