package config

import (
	"fmt"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Networks are IP networks. A single address is a network of one address.
type Networks []netip.Prefix

// UnmarshalYAML reports every invalid entry with its line.
func (n *Networks) UnmarshalYAML(node *yaml.Node) error {
	var texts []string
	if err := node.Decode(&texts); err != nil {
		return err
	}
	*n = nil
	var wrong []string
	for i, text := range texts {
		prefix, err := parseNetwork(text)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("line %d: %v", node.Content[i].Line, err))
			continue
		}
		*n = append(*n, prefix)
	}
	if wrong != nil {
		return &yaml.TypeError{Errors: wrong}
	}
	return nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: write it as 10.0.0.0/8", text)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has host bits set: write %s", text, prefix.Masked())
	}
	return prefix, nil
}

// Problem is one invalid setting.
type Problem struct {
	Key  string // such as "mail.from" or "clients[0].redirect_uris[1]"; empty for the file as a whole
	From string // the variable or the line of the file that set it, if any
	Fix  string // what is wrong and what to write; never a secret
}

// Problems lists everything wrong with a configuration.
type Problems []Problem

// Error lists the problems, one per line.
func (p Problems) Error() string {
	var b strings.Builder
	noun := "errors"
	if len(p) == 1 {
		noun = "error"
	}
	fmt.Fprintf(&b, "%d configuration %s:", len(p), noun)
	for _, problem := range p {
		b.WriteString("\n  ")
		if problem.Key != "" {
			b.WriteString(problem.Key)
			if problem.From != "" {
				b.WriteString(" (" + problem.From + ")")
			}
			b.WriteString(": ")
		}
		b.WriteString(problem.Fix)
	}
	return b.String()
}
