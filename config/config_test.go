package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gatehouse/broker"
)

const example = "../deploy/gatehouse.example.yaml"

// random is a secret as openssl makes one.
const random = "q4ZbN1s8Ff0mYw7tRk2xVd9LhUo3PjEaC6iGzT5S"

type env map[string]string

func (e env) list() (all []string) {
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, e env) (*Config, Problems) {
	t.Helper()
	c, err := Load(file(t, text), e.list)
	if err == nil {
		return c, nil
	}
	problems, ok := err.(Problems)
	if !ok {
		t.Fatal(err)
	}
	return nil, problems
}

func keys(problems Problems) (out []string) {
	for _, p := range problems {
		out = append(out, p.Key)
	}
	slices.Sort(out)
	return out
}

func TestNoConfigurationAtAllIsOne(t *testing.T) {
	c, err := Load("", env{}.list)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Issuer: "http://localhost:8080", Listen: "localhost:8080", Operations: Operations{"127.0.0.1:9090"},
		DataDir:  "./gatehouse-data",
		Database: "sqlite:gatehouse-data/gatehouse.db", DatabasePool: 10, SQLiteSynchronous: "normal", Audit: Audit{400, 100},
		Keyring: "gatehouse-data/keyring.json", CreateKeyring: true,
		Mail:         Mail{From: "Gatehouse <gatehouse@localhost>", Folder: "gatehouse-data/mailbox"},
		Product:      Product{Name: "Gatehouse"},
		Registration: "invite", Passwords: true, Languages: []string{"en", "fr", "es", "de"}, Log: Log{"info"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if path, ok := c.SQLite(); !ok || path != "gatehouse-data/gatehouse.db" {
		t.Errorf("database %q, %v", path, ok)
	}
	if moved, _ := Load("", env{"GATEHOUSE_LISTEN": ":9000"}.list); moved == nil ||
		moved.Issuer != "http://localhost:9000" {
		t.Errorf("on another port: %+v", moved)
	}
}

func TestTheExampleFileIsTheDefaults(t *testing.T) {
	c, err := Load(example, env{}.list)
	if err != nil {
		t.Fatal(err)
	}
	if defaults, _ := Load("", env{}.list); !reflect.DeepEqual(c, defaults) {
		t.Errorf("example  %+v\ndefaults %+v", c, defaults)
	}
}

// commented is a setting that the example shows and does not set; prose has one space behind the #.
var commented = regexp.MustCompile(`(?m)^( *)#([a-z]|  )`)

func wholeExample(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return commented.ReplaceAll(data, []byte("$1$2"))
}

func TestTheWholeExampleLoads(t *testing.T) {
	secret := file(t, random+"\n")
	text := strings.Replace(string(wholeExample(t)), "file:/run/secrets/keycloak", "file:"+secret, 1)
	c, problems := load(t, text, env{
		"GATEHOUSE_ISSUER": "https://login.example.com", "DATABASE_URL": "postgres://gatehouse:" + random + "@db/gatehouse",
		"REDIS_URL": "redis://redis:6379/0",
		"SMTP_URL":  "smtp://user:" + random + "@mail.example.com:587", "GOOGLE_CLIENT_SECRET": random,
		"WIKI_CLIENT_SECRET": random,
	})
	if problems != nil {
		t.Fatal(problems)
	}
	if c.Connections[1].ClientSecret.Reveal() != random || c.Connections[0].ClientSecret.Reveal() != random ||
		c.Clients[0].Secret.Reveal() != random {
		t.Error("a reference was not followed")
	}
	if c.Clients[1].AuthMethod != "none" || c.Clients[1].IDTokenAlg != "RS256" || len(c.Clients[1].GrantTypes) != 2 ||
		c.Connections[1].Settings["scopes"] == "" {
		t.Errorf("clients %+v", c.Clients)
	}
	if c.Keyring != "/etc/gatehouse/keyring.json" || c.CreateKeyring || !slices.Equal(c.TrustedProxies,
		Networks{netip.MustParsePrefix("10.0.0.0/24")}) {
		t.Errorf("keyring %q, proxies %v", c.Keyring, c.TrustedProxies)
	}
}

func TestTheExampleShowsEveryKeyAndNoOther(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal(wholeExample(t), &document); err != nil {
		t.Fatal(err)
	}
	f := findings{from: map[string]string{}, literal: map[string]bool{}}
	f.screen(document.Content[0], reflect.TypeFor[Config](), "", map[int]string{})
	if len(f.problems) > 0 {
		t.Error(f.problems)
	}
	index := regexp.MustCompile(`\[\d+\]`)
	shown := map[string]bool{}
	for key := range f.from {
		shown[index.ReplaceAllString(key, "[0]")] = true
	}
	c := Config{Connections: make([]Connection, 1), Clients: make([]Client, 1)}
	count := 0
	leaves(reflect.ValueOf(&c).Elem(), "", func(key string, _ reflect.Value) {
		count++
		if !shown[key] {
			t.Errorf("%s is missing from %s", key, example)
		}
	})
	if count < 40 {
		t.Errorf("only %d keys were looked for", count)
	}
}

func TestVariablesWinOverTheFile(t *testing.T) {
	c,
		problems := load(t,
		"listen: localhost:1\ndatabase_pool: 3\npasswords: true\nlanguages: [de]\nproduct: {name: File}\ntrusted_proxies: "+
			"[10.0.0.0/8]\n", env{
			"GATEHOUSE_LISTEN": "localhost:2", "GATEHOUSE_DATABASE_POOL": "4", "GATEHOUSE_PASSWORDS": "false",
			"GATEHOUSE_LANGUAGES":    "fr, en",
			"GATEHOUSE_PRODUCT_NAME": "", "GATEHOUSE_TRUSTED_PROXIES": "192.168.1.1, fd00::/8", "GATEHOUSE_REDIS": "redis://:" +
				random + "@redis", "GATEHOUSE_MAIL_SMTP": "env:SMTP",
			"SMTP": "smtps://mail.example.com", "GATEHOUSE_MAIL_FROM": "login@example.com", "GATEHOUSE_OPERATIONS_LISTEN": "off",
			"GATEHOUSE_LOG_LEVEL": "debug",
		})
	if problems != nil {
		t.Fatal(problems)
	}
	proxies := Networks{netip.MustParsePrefix("192.168.1.1/32"), netip.MustParsePrefix("fd00::/8")}
	if c.Listen != "localhost:2" || c.DatabasePool != 4 || c.Passwords || !slices.Equal(c.Languages,
		[]string{"fr", "en"}) || c.Product.Name != "File" ||
		!slices.Equal(c.TrustedProxies, proxies) || c.Redis.Reveal() != "redis://:"+random+"@redis" ||
		c.Mail.SMTP.Reveal() != "smtps://mail.example.com" ||
		c.Operations.Listen != Off || c.Log.Level != "debug" || c.Mail.Folder != "" {
		t.Errorf("%+v", c)
	}
}

func TestEveryScalarKeyHasAVariable(t *testing.T) {
	var asked findings
	asked.overlay(&Config{})
	var c Config
	leaves(reflect.ValueOf(&c).Elem(), "", func(key string, v reflect.Value) {
		if key == "connections" || key == "clients" {
			return
		}
		if !slices.Contains(asked.used, variable(key)) {
			t.Errorf("%s is not read", variable(key))
		}
		f := findings{from: map[string]string{}, literal: map[string]bool{}}
		f.set(key, v.Addr().Interface(), "1")
		if v.IsZero() && len(f.problems) == 0 {
			t.Errorf("%s cannot be set", key)
		}
	})
	for _, name := range asked.used {
		if !strings.HasPrefix(name, "GATEHOUSE_") {
			t.Errorf("%s was read", name)
		}
	}
}

func TestAVariableThatSetsNothingIsAnErrorWithASuggestion(t *testing.T) {
	_, problems := load(t, "database: env:GATEHOUSE_DB_URL", env{
		"GATEHOUSE_ISUER": "https://login.example.com", "GATEHOUSE_TLSCERT": "/a.pem", "GATEHOUSE_WHATEVER_IT_IS": "1",
		"GATEHOUSE_CONNECTIONS": "google", "GATEHOUSE_UNSET": "", "GATEHOUSE_DB_URL": "sqlite:/a.db", "OTHER": "1",
		"GATEHOUSE_LISTEN": ":8080", "GATEHOUSE_TEST_REDIS": "redis://",
		"GATEHOUSE_SERVICE_HOST": "10.0.0.1", "GATEHOUSE_SERVICE_PORT_HTTP": "80", "GATEHOUSE_PORT": "tcp://10.0.0.1:80",
		"GATEHOUSE_PORT_80_TCP_ADDR": "10.0.0.1", "GATEHOUSE_OPERATIONS_SERVICE_PORT": "9090"})
	want := map[string]string{"GATEHOUSE_ISUER": "did you mean GATEHOUSE_ISSUER?",
		"GATEHOUSE_TLSCERT": "did you mean GATEHOUSE_TLS_CERT?", "GATEHOUSE_WHATEVER_IT_IS": "lists all settings",
		"GATEHOUSE_CONNECTIONS": "lists all settings"}
	for _, p := range problems {
		if fix, known := want[p.Key]; !known || !strings.Contains(p.Fix, fix) {
			t.Errorf("%+v, want %q", p, fix)
		}
		delete(want, p.Key)
	}
	for name := range want {
		t.Errorf("%s is not reported", name)
	}
}

// An unknown variable ends the start.
func TestTheFilesOfDeployNameOnlyVariablesThatExist(t *testing.T) {
	var known findings
	known.overlay(&Config{})
	for _, name := range []string{"Dockerfile", "compose.yaml", "systemd/gatehouse.service"} {
		text, err := os.ReadFile(filepath.Join("../deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`GATEHOUSE_[A-Z_]+`).FindAllString(string(text), -1)
		if len(used) == 0 {
			t.Errorf("%s sets nothing", name)
		}
		for _, variable := range used {
			if !slices.Contains(known.used, variable) {
				t.Errorf("%s sets %s, which is not a setting", name, variable)
			}
		}
	}
}

func TestTheKeyringComesFromAFileOrAVariable(t *testing.T) {
	const keyring = `{"keys":[]}`
	cases := map[string]struct {
		yaml     string
		env      env
		path     string
		data     string
		creating bool
	}{
		"beside SQLite": {"data_dir: /var/lib/gatehouse", nil, "/var/lib/gatehouse/keyring.json", "", true},
		"a path":        {"keyring: /etc/keyring.json", nil, "/etc/keyring.json", "", false},
		"a file":        {"keyring: file:/etc/keyring.json", nil, "/etc/keyring.json", "", false},
		"a variable":    {"keyring: env:RING", env{"RING": keyring + "\n"}, "", keyring + "\n", false},
		"its variable":  {"", env{"GATEHOUSE_KEYRING": keyring}, "", keyring, false},
		"PostgreSQL":    {"keyring: /k\ndatabase: postgres://db/gatehouse", nil, "/k", "", false},
	}
	for name, want := range cases {
		c, problems := load(t, want.yaml, want.env)
		if problems != nil {
			t.Errorf("%s: %v", name, problems)
		} else if c.Keyring != want.path || c.KeyringData.Reveal() != want.data || c.CreateKeyring != want.creating {
			t.Errorf("%s: %q, %q, %v", name, c.Keyring, c.KeyringData.Reveal(), c.CreateKeyring)
		}
	}
}

func TestG16_NothingPrintsASecret(t *testing.T) {
	c, err := Load("", env{"GATEHOUSE_DATABASE": "postgres://u:" + random + "@db/x", "GATEHOUSE_KEYRING": `{"keys":["` +
		random + `"]}`,
		"GATEHOUSE_REDIS": "redis://:" + random + "@redis", "GATEHOUSE_MAIL_SMTP": "smtp://u:" + random + "@mail",
		"GATEHOUSE_MAIL_FROM": "a@example.com"}.list)
	if err != nil {
		t.Fatal(err)
	}
	c.Connections, c.Clients = []Connection{{ClientSecret: random}},
		[]Client{{Secret: random}}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("x", "config", c, "value", *c, "secret", c.Database, "pointer", &c.Redis)
	}
	asJSON, _ := json.Marshal(c)
	asYAML, _ := yaml.Marshal(c)
	out.Write(asJSON)
	out.Write(asYAML)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		for _, value := range []any{c, *c, c.Database, &c.Database, c.Clients, c.Connections[0],
			map[string]broker.Secret{"a": c.Redis}} {
			fmt.Fprintf(&out, verb, value)
		}
	}
	if !strings.Contains(out.String(), "•••") {
		t.Error("there are no dots")
	}
	for _, form := range []string{random, fmt.Sprintf("%x", random), fmt.Sprintf("%X", random)} {
		if strings.Contains(out.String(), form) {
			t.Fatalf("a secret is printed: …%s…", out.String()[max(0, strings.Index(out.String(), form)-80):][:80])
		}
	}
	if c.Database.String() != "•••" || c.Database.Reveal() == "•••" || c.Database == "" {
		t.Error("a secret is not what it should be")
	}
}
