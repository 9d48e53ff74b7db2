package main

import (
	"embed"
	"fmt"
	"io"
	"strings"
)

// completeWord is the first argument of a shell that asks for completions.
const completeWord = "__complete"

type completionCmd struct {
	Shell string `arg:"" name:"SHELL" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

//go:embed completion
var completionScripts embed.FS

// Run prints a script that makes the shell ask this program for completions.
func (c *completionCmd) Run(t *tool) error {
	script, err := completionScripts.ReadFile("completion/" + c.Shell)
	if err != nil {
		return err
	}
	return t.print(map[string]string{"shell": c.Shell, "script": string(script)}, func(w io.Writer) { w.Write(script) })
}

// complete prints the commands or flags that the last word may become, one on a line.
func (p *commandParser) complete(w io.Writer, words []string) {
	node, last := p.Model.Node, ""
	for i, word := range words {
		if i == len(words)-1 {
			last = word
			break
		}
		for _, child := range node.Children {
			if child.Name == word {
				node = child
			}
		}
	}
	var all []string
	for _, child := range node.Children {
		all = append(all, child.Name)
	}
	if strings.HasPrefix(last, "-") {
		all = nil
		for n := node; n != nil; n = n.Parent {
			for _, f := range n.Flags {
				all = append(all, "--"+f.Name)
			}
		}
	}
	for _, word := range all {
		if strings.HasPrefix(word, last) {
			fmt.Fprintln(w, word)
		}
	}
}
