package main_test

import (
	"strings"
	"testing"
)

// A check that cannot fail proves nothing, so each is shown a fault of its own.
func TestLayoutSeesPlantedFaults(t *testing.T) {
	imports := func(name string, imports ...string) []string { return checkImports([]goPackage{{name, imports}}) }
	file := func(dir, text string) []string {
		return checkSource(source{dir + "/x.go", []byte("package x\n" + text)})
	}
	lines := func(n int) string { return strings.Repeat("\n", n) }
	line := func(n int) string { return "//" + strings.Repeat("é", n-2) }
	for name, tc := range map[string]struct {
		faults []string
		says   string // empty: nothing is wrong
	}{
		"all is well": {imports("broker/login", "fmt", module+"broker", module+"broker/web", module+"broker/access",
			"golang.org/x/text/language"), ""},
		"config imports the domain":    {imports("config", module+"broker"), ""},
		"config imports a package":     {imports("config", module+"broker/text"), "config must not import broker/text"},
		"a service imports config":     {imports("broker/oidc", module+"config"), "must not import config"},
		"cmd imports config":           {imports("cmd/gatehouse", module+"config"), ""},
		"two services meet":            {imports("broker/login", module+"broker/oidc"), "must not import"},
		"admin imports a service":      {imports("broker/admin", module+"broker/account"), "must not import"},
		"the console imports admin":    {imports("broker/admin/console", module+"broker/admin"), ""},
		"admin imports the console":    {imports("broker/admin", module+"broker/admin/console"), "must not import"},
		"the API imports the console":  {imports("broker/admin/api", module+"broker/admin/console"), "must not import"},
		"the domain imports a leaf":    {imports("broker", module+"broker/seal"), "must not import"},
		"a leaf imports a leaf":        {imports("broker/signing", module+"broker/seal"), "must not import"},
		"a leaf imports a service":     {imports("broker/limit", module+"broker/web"), "must not import"},
		"the registry draws pages":     {imports("broker/clients", module+"broker/web"), "must not import"},
		"the gate imports a service":   {imports("broker/access", module+"broker/login"), "must not import"},
		"a database imports a service": {imports("storage/gormdb", module+"broker/login"), "must not import"},
		"a provider imports a service": {imports("providers", module+"broker/login"), "must not import"},
		"fosite in login": {imports("broker/login", "github.com/ory/fosite/compose"),
			"belongs into broker/oidc"},
		"fosite in the registry": {imports("broker/clients", "github.com/ory/fosite"), "belongs into broker/oidc"},
		"go-oidc in oidc": {imports("broker/oidc", "github.com/coreos/go-oidc/v3/oidc"),
			"belongs into providers"},
		"oauth2 in login":     {imports("broker/login", "golang.org/x/oauth2"), "belongs into providers"},
		"SAML in login":       {imports("broker/login", "github.com/crewjam/saml"), "belongs into providers"},
		"gorm in the domain":  {imports("broker", "gorm.io/gorm"), "belongs into storage/gormdb"},
		"go-redis in storage": {imports("storage", "github.com/redis/go-redis/v9"), "belongs into storage/redisdb"},
		"kong in admin":       {imports("broker/admin", "github.com/alecthomas/kong"), "belongs into cmd/gatehouse"},
		"jose in login": {imports("broker/login", "github.com/go-jose/go-jose/v4"),
			"belongs into broker/signing"},
		"an old jose in providers": {imports("providers", "github.com/go-jose/go-jose/v3/jwt"),
			"belongs into broker/oidc"},
		"a vendor without a package":   {imports("broker/web", "example.com/router"), "has no package"},
		"a package that is not listed": {imports("broker/util", "fmt"), "not a package of DESIGN.md"},
		"the domain opens files":       {imports("broker", "os"), "does no I/O"},
		"the bench looks inside":       {imports("deploy/bench", module+"broker"), "must not import"},

		"the top level":             {checkTop([]string{"cmd/x.go", ".ci/run", "go.mod"}), ""},
		"another folder at the top": {checkTop([]string{"internal/x.go"}), "not a top-level entry"},
		"a file of 400 lines":       {file("config", lines(399)), ""},
		"a file of 401 lines":       {file("config", lines(400)), "the file has 401 lines"},
		"a command of 2800 lines":   {checkCommand(2800), ""},
		"a command of 2801 lines":   {checkCommand(2801), "cmd/gatehouse has 2801 lines"},
		"a function of 60 lines":    {file("config", "func f() {"+lines(59)+"}"), ""},
		"a function of 61 lines":    {file("config", "func f() {"+lines(60)+"}"), "f has 61 lines"},
		"a method of 61 lines":      {file("config", "func (x) f() {"+lines(60)+"}"), "f has 61 lines"},
		"a suite of 61 lines":       {file("storage", `import "testing"`+"\nfunc f(t *testing.T) {"+lines(60)+"}"), ""},
		"a line of 120 characters":  {file("broker", line(120)), ""},
		"a line of 121 characters":  {file("broker", line(121)), "x.go:2: the line has 121 characters"},
		"behind a tag goes more": {file("broker", "type x struct{ y int `"+strings.Repeat("z", 120)+"` }"),
			"the line has"},
		"a tag may be long":      {file("broker", "type x struct {\n\ty int `"+strings.Repeat("z", 120)+"`\n}"), ""},
		"a tab is one character": {file("broker", "\t"+line(119)), ""},
		"an interface of six":    {file("broker", "type i interface { A(); B(); C(); D(); E(); F() }"), ""},
		"an interface of seven": {file("broker", "type i interface { A(); B(); C(); D(); E(); F(); G() }"),
			"has 7 methods"},
		"an init":                   {file("broker/web", "func init() {}"), "init()"},
		"a stored context":          {file("broker/web", "type s struct { ctx context.Context }"), "never stored"},
		"a package reads variables": {file("broker/web", `var p = os.Getenv("PORT")`), "only config"},
		"cmd reads variables":       {file("cmd/gatehouse", `var p = os.Getenv("PORT")`), "only config"},
		"cmd passes LookupEnv":      {file("cmd/gatehouse", `var p = os.LookupEnv`), ""},
		"config reads variables":    {file("config", `func f() string { return os.Getenv("PORT") }`), ""},
		"the domain names a status": {file("broker", "var s = http.StatusOK"), ""},
		"the domain calls out":      {file("broker", `var r, _ = http.Get("x")`), "does no I/O"},
		"a service builds facts": {file("broker/admin", "var f = broker.Facts{Now: now}"),
			"only broker/access builds Facts"},
		"anyone builds empty facts": {file("broker/mail", "var f = &broker.Facts{}"), "only broker/access builds Facts"},
		"a service asks the gate":   {file("broker/admin", "var e = broker.Admit(f)"), "only broker/access asks Admit"},
		"a route loads its facts":   {file("broker/oidc", "var f = broker.LoadedFacts(facts)"), "asks LoadedFacts"},
		"a route asks for the step": {file("broker/login", "var s, e = broker.Next(l, f)"), "asks Next"},
		"access asks the gate":      {file("broker/access", "var e = broker.Admit(broker.Facts{Now: now})"), ""},
		"text that is not Go":       {file("broker", "func {"), "expected"},
		"work left undone":          {checkWords(source{"x.sh", []byte("# " + forbidden[0])}), "holds"},
		"a registry's host":         {checkWords(source{"x.json", []byte("https://" + forbidden[2] + "/x")}), "holds"},
	} {
		switch {
		case tc.says == "" && len(tc.faults) > 0:
			t.Errorf("%s: reported %q", name, tc.faults)
		case tc.says != "" && (len(tc.faults) != 1 || !strings.Contains(tc.faults[0], tc.says)):
			t.Errorf("%s: want one fault with %q, got %q", name, tc.says, tc.faults)
		}
	}
}
