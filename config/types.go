package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Secret is a value that nothing prints: not fmt with any verb, not slog, not JSON, not YAML. Reveal is the one way to it.
type Secret struct {
	value   string
	literal bool // written as it is in the file, where others read it
}

const dots = "•••"

// Reveal returns the secret itself, for the one call that needs it.
func (s Secret) Reveal() string { return s.value }

// Empty reports whether there is none.
func (s Secret) Empty() bool { return s.value == "" }

// Format prints dots for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, dots) }

// String is for what asks for a Stringer without fmt.
func (Secret) String() string { return dots }

// LogValue is for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(dots) }

// MarshalText is for JSON, YAML and their like.
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }

// UnmarshalYAML takes a text: a reference, or the value itself where that is allowed.
func (s *Secret) UnmarshalYAML(node *yaml.Node) error {
	s.literal = true
	return node.Decode(&s.value)
}

// Networks are IP networks. A single address is a network of one.
type Networks []netip.Prefix

// UnmarshalYAML reports every entry that is wrong, each with its line.
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
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its mask: write %s", text, prefix.Masked())
	}
	return prefix, nil
}

// Problem is one wrong setting.
type Problem struct {
	Key  string // such as "mail.from" or "clients[0].redirect_uris[1]"; empty when the file as a whole is wrong
	From string // the variable or the line of the file that set it, if one did
	Fix  string // what is wrong and what to write; never a secret
}

// Problems is everything wrong with a configuration.
type Problems []Problem

// Error lists the problems, one to a line.
func (p Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "config: %d to mend:", len(p))
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
