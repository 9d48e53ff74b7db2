package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"gatehouse/broker"
)

// findings collects problems while the configuration is read.
type findings struct {
	problems Problems
	from     map[string]string // key to the variable or line that set it
	literal  map[string]bool   // secrets that are written directly in the file, where others can read them
	env      map[string]string // the environment
	used     []string          // the variables of settings, and those that the file refers to
}

// add records a problem of a key unless it already has one: follow-up problems would only confuse.
func (f *findings) add(key, fix string, args ...any) {
	for _, known := range f.problems {
		if known.Key == key && key != "" {
			return
		}
	}
	f.note(key, fix, args...)
}

// note records a problem unconditionally.
func (f *findings) note(key, fix string, args ...any) {
	from := f.from[key]
	if i := strings.LastIndexByte(key, '['); from == "" && i >= 0 && strings.HasSuffix(key, "]") {
		from = f.from[key[:i]] // a list from one variable
	}
	f.problems = append(f.problems, Problem{Key: key, From: from, Fix: fmt.Sprintf(fix, args...)})
}

// decode reads the file into c. It reports all unknown keys, duplicate keys and values of a wrong type together.
func (f *findings) decode(data []byte, c *Config) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case err == io.EOF:
		return // an empty file
	case err != nil:
		f.note("", "the file is not YAML: %v", err)
		return
	case document.Content[0].Kind != yaml.MappingNode:
		f.note("", "the file has no settings: write key: value, as in deploy/gatehouse.example.yaml")
		return
	}
	if decoder.Decode(new(yaml.Node)) != io.EOF {
		f.note("", "the file has a second document after ---: keep one")
	}
	lines := map[int]string{}
	f.screen(document.Content[0], reflect.TypeFor[Config](), "", lines)
	err := document.Decode(c)
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		for _, text := range wrong.Errors {
			f.explain(text, lines)
		}
	} else if err != nil {
		reason, _, _ := strings.Cut(err.Error(), "`") // the rest quotes the value
		f.note("", "the file is not YAML: %s", reason)
	}
}

// screen reports and removes unknown and duplicate settings, so that decoding goes on: the library stops at the
// first duplicate key. It also records which line sets which key.
func (f *findings) screen(node *yaml.Node, t reflect.Type, key string, lines map[int]string) {
	switch {
	case node.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, child := range node.Content {
			path := fmt.Sprintf("%s[%d]", key, i)
			f.from[path] = at(child)
			f.screen(child, t.Elem(), path, lines)
		}
	case node.Kind == yaml.MappingNode && (t.Kind() == reflect.Map ||
		t.Kind() == reflect.Struct && t.Field(0).Tag.Get("yaml") != ""):
		var kept []*yaml.Node
		seen := map[string]bool{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			name, value := node.Content[i], node.Content[i+1]
			path := strings.TrimPrefix(key+"."+name.Value, ".")
			inner, known := typeOf(t, name)
			switch again := seen[name.Value]; {
			case !known:
				f.problems = append(f.problems, Problem{path, at(name), unknownSetting(t, name.Value)})
				continue
			case again:
				f.problems = append(f.problems, Problem{path, at(name), "set twice: keep one"})
				continue
			}
			seen[name.Value] = true
			lines[name.Line], f.from[path] = path, at(name)
			if value.Kind == yaml.AliasNode { // its target was screened for another key
				f.note(path, "write it out: aliases are not supported")
				continue
			}
			f.screen(value, inner, path, lines)
			kept = append(kept, name, value)
		}
		node.Content = kept
	case lines[node.Line] == "":
		lines[node.Line] = key
	}
}

func at(node *yaml.Node) string { return "line " + strconv.Itoa(node.Line) }

// typeOf returns the type of the setting within a group, and whether it exists.
func typeOf(group reflect.Type, name *yaml.Node) (reflect.Type, bool) {
	if name.Kind != yaml.ScalarNode || name.Value == "-" {
		return nil, false
	}
	if group.Kind() == reflect.Map {
		return group.Elem(), true
	}
	for i := range group.NumField() {
		if field := group.Field(i); field.Tag.Get("yaml") == name.Value {
			return field.Type, true
		}
	}
	return nil, false
}

// unknownSetting says what may have been meant by a key of a group.
func unknownSetting(group reflect.Type, name string) string {
	var known []string
	for i := range group.NumField() { // a map knows every key
		if tag := group.Field(i).Tag.Get("yaml"); tag != "-" {
			known = append(known, tag)
		}
	}
	if near := broker.Nearest(name, known); near != "" {
		return "unknown setting: did you mean " + near + "?"
	}
	return "unknown setting: deploy/gatehouse.example.yaml lists all"
}

// explain turns an error of the YAML library, which names Go types and quotes values, into a problem.
func (f *findings) explain(text string, lines map[int]string) {
	place, text, _ := strings.Cut(text, ": ")
	line, _ := strconv.Atoi(strings.TrimPrefix(place, "line "))
	if kind := strings.LastIndex(text, " into "); kind >= 0 {
		text = "expected " + expected(text[kind+len(" into "):])
	} // else it is an error of Networks
	f.note(lines[line], "%s", text)
}

// expected describes the value of a Go type.
func expected(kind string) string {
	switch {
	case kind == "string", kind == "broker.Secret":
		return "a text"
	case kind == "int":
		return "a whole number"
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "[]"):
		return "a list"
	case strings.HasPrefix(kind, "map"):
		return "a list of key: text"
	}
	return "a group of settings"
}

// leaves visits every setting with its key, including entries of lists.
func leaves(v reflect.Value, key string, visit func(key string, v reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[broker.Secret](), v.Type() == reflect.TypeFor[Networks]():
		visit(key, v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "-" {
				leaves(v.Field(i), strings.TrimPrefix(key+"."+tag, "."), visit)
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", key, i), visit)
		}
	default:
		visit(key, v)
	}
}

// variable returns the name of the variable for a key.
func variable(key string) string {
	return "GATEHOUSE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// read reads the environment. An empty variable counts as not set.
func (f *findings) read(environ func() []string) {
	f.env = map[string]string{}
	if environ == nil {
		return
	}
	for _, pair := range environ() {
		if name, value, _ := strings.Cut(pair, "="); value != "" {
			f.env[name] = value
		}
	}
}

// overlay applies the variables over the file.
func (f *findings) overlay(c *Config) {
	leaves(reflect.ValueOf(c).Elem(), "", func(key string, v reflect.Value) {
		name := variable(key)
		if strings.Contains(key, "[") || key == "connections" || key == "clients" {
			return // entries of connections and clients have no variable
		}
		f.used = append(f.used, name)
		if text := f.env[name]; text != "" {
			f.from[key] = name
			f.set(key, v.Addr().Interface(), text)
		}
	})
}

// foreign matches variables that are not meant for this program: Kubernetes sets them for a service called gatehouse,
// and the tests have their own.
var foreign = regexp.MustCompile(
	`^GATEHOUSE_(TEST_\w+|(\w+_)?SERVICE_(HOST|PORT(_\w+)?)|(\w+_)?PORT(_\d+_[A-Z]+(_\w+)?)?)$`)

// checkVariables reports variables that begin like those of settings, but set nothing.
func (f *findings) checkVariables() {
	for _, name := range slices.Sorted(maps.Keys(f.env)) {
		if !strings.HasPrefix(name, "GATEHOUSE_") || slices.Contains(f.used, name) || foreign.MatchString(name) {
			continue
		}
		fix := "unknown variable: deploy/gatehouse.example.yaml lists all settings"
		if near := broker.Nearest(name, f.used); near != "" {
			fix = "unknown variable: did you mean " + near + "?"
		}
		f.note(name, "%s", fix)
	}
}

func (f *findings) set(key string, target any, text string) {
	var err error
	switch target := target.(type) {
	case *string:
		*target = text
	case *broker.Secret:
		*target = broker.Secret(text)
	case *int:
		if *target, err = strconv.Atoi(text); err != nil {
			f.add(key, "expected a whole number")
		}
	case *bool:
		if *target, err = strconv.ParseBool(text); err != nil {
			f.add(key, "expected true or false")
		}
	case *[]string:
		*target = nil
		for _, part := range strings.Split(text, ",") {
			*target = append(*target, strings.TrimSpace(part))
		}
	case *Networks:
		*target = nil
		for i, part := range strings.Split(text, ",") {
			prefix, err := parseNetwork(part)
			if err != nil {
				f.note(fmt.Sprintf("%s[%d]", key, i), "%v", err)
				continue
			}
			*target = append(*target, prefix)
		}
	}
}

// resolve replaces references by their values, and notes which secrets the file holds itself.
func (f *findings) resolve(c *Config) {
	leaves(reflect.ValueOf(c).Elem(), "", func(key string, v reflect.Value) {
		secret, ok := v.Addr().Interface().(*broker.Secret)
		switch {
		case ok && isReference(secret.Reveal()):
			value, err := f.follow(secret.Reveal())
			if err != nil {
				f.add(key, "%v", err)
			}
			*secret = broker.Secret(value)
		case ok && *secret != "":
			f.literal[key] = f.from[key] != variable(key)
		}
	})
	for i := range c.Clients {
		if set := &c.Clients[i].Keys; isReference(*set) {
			value, err := f.follow(*set)
			if err != nil {
				f.add(fmt.Sprintf("clients[%d].jwks", i), "%v", err)
			}
			*set = value
		}
	}
	switch path, isFile := strings.CutPrefix(c.Keyring, "file:"); {
	case isFile:
		c.Keyring = path
	case isReference(c.Keyring):
		value, err := f.follow(c.Keyring)
		if err != nil {
			f.add("keyring", "%v", err)
		}
		c.Keyring, c.KeyringData = "", broker.Secret(value)
	case strings.HasPrefix(strings.TrimSpace(c.Keyring), "{"):
		if f.from["keyring"] != variable("keyring") {
			f.add("keyring", "keys do not belong in this file: %s", useReference)
		}
		c.Keyring, c.KeyringData = "", broker.Secret(c.Keyring)
	}
}

func isReference(text string) bool {
	return strings.HasPrefix(text, "env:") || strings.HasPrefix(text, "file:")
}

// follow returns the value of a reference: env:NAME or file:/path, without the trailing line break.
func (f *findings) follow(reference string) (string, error) {
	kind, name, _ := strings.Cut(reference, ":")
	if kind == "file" {
		data, err := readFile(name)
		if err != nil {
			return "", err
		}
		if len(bytes.TrimSpace(data)) == 0 {
			return "", fmt.Errorf("the file %s is empty", name)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
	// The name is checked, so that a secret written after env: does not appear in an error.
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return "", errors.New("write env: and the name of a variable, in capitals, digits and _")
	}
	f.used = append(f.used, name)
	value := f.env[name]
	if value == "" {
		return "", fmt.Errorf("the variable %s is not set", name)
	}
	return value, nil
}
