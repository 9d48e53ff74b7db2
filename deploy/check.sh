#!/usr/bin/env bash
# Everything that must hold before a change lands, in under 15 minutes on two slow cores.
#
#   deploy/check.sh        what every change needs
#   deploy/check.sh --all  also the race detector everywhere, the long model, every fuzz target, the defences
#
# It runs from a clean clone on Debian as root, where it installs what is missing; elsewhere it says what is
# missing. It starts the servers that the tests need on free ports and stops them again. It writes only to a
# temporary folder, the module caches, ~/.cache/gatehouse (Python apps) and deploy/e2e/node_modules. A skipped test counts as a failed one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The flags of the shipped binary, for every command: so each package is compiled once, and again for the race detector.
export PATH="$PATH:/usr/local/go/bin" GOFLAGS="${GOFLAGS:-} -buildvcs=false -trimpath" CGO_ENABLED=0 LC_ALL=C.UTF-8

case "${1-}" in
'') all= ;;
--all) all=yes ;;
*) echo "usage: deploy/check.sh [--all]" >&2 && exit 2 ;;
esac

# Git accepts a clone that belongs to another user: it only lists files here.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

broken=0 # failed checks; all checks run, so one call reports everything
status=0
results=() # files that tally.mjs has written
started=()
preparing=yes
scratch=$(mktemp -d "${TMPDIR:-/tmp}/gatehouse-check.XXXXXX")
chmod 711 "$scratch" # PostgreSQL runs as another user

cleanup() {
	[[ -z $preparing ]] || cat "$scratch"/*log
	for pid in "${started[@]}"; do
		kill -INT "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# phase NAME COMMAND… runs one check, prints its time, and prints its output only if it fails.
phase() {
	local name=$1 from=$SECONDS verdict=ok
	shift
	if ! "$@" >"$scratch/log" 2>&1; then
		verdict=FAILED broken=$((broken + 1))
		cat "$scratch/log"
	fi
	printf '%-34s %4d s  %s\n' "$name" $((SECONDS - from)) "$verdict"
}

# tests NAME FILE COMMAND… runs a command that writes its results to FILE; tally.mjs prints only what failed.
tests() {
	local name=$1 file=$2 from=$SECONDS verdict=ok
	results+=("$file")
	shift 2
	"$@" "$file" || verdict=FAILED status=1
	printf '%-34s %4d s  %s\n' "$name" $((SECONDS - from)) "$verdict"
}

give_up() {
	printf '%s\n' "$@" >&2
	exit 1
}

need() {
	command -v go >/dev/null || give_up "Go is missing: install the version that go.mod names, see https://go.dev/doc/install"
	local missing=()
	command -v git >/dev/null || missing+=(git)
	command -v gcc >/dev/null || missing+=(gcc libc6-dev) # the race detector is C; the product is not
	command -v redis-server >/dev/null || missing+=(redis-server)
	command -v pgbouncer >/dev/null || missing+=(pgbouncer)
	command -v chromium >/dev/null || missing+=(chromium)
	command -v WebKitWebDriver >/dev/null || missing+=(webkit2gtk-driver)
	command -v Xvfb >/dev/null || missing+=(xvfb)
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
	[[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ]] || missing+=(apache2 libapache2-mod-auth-openidc)
	[[ -e /usr/share/perl5/Lemonldap/NG/Portal/Main.pm ]] && command -v plackup >/dev/null || missing+=(liblemonldap-ng-portal-perl libplack-perl
		libconvert-base32-perl libcrypt-openssl-bignum-perl libemail-sender-perl libgd-securityimage-perl libimage-magick-perl
		libio-string-perl libmime-tools-perl libstring-random-perl) # Debian recommends or suggests the last eight; it does not start without
	python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
	compgen -G '/usr/share/fonts/truetype/dejavu/*' >/dev/null || missing+=(fonts-dejavu-core)
	command -v npm >/dev/null || missing+=(nodejs npm)
	if ((${#missing[@]})); then
		((EUID == 0)) || give_up "missing: ${missing[*]}"
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
	fi
	node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' ||
		give_up "the browser tests need Node.js 20 or newer; $(command -v node) is $(node --version)"
	(cd deploy/e2e && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	go mod download
	need_apps
}

# The apps that the browsers sign in to: Python's in a cached environment, Go's built beside the broker.
need_apps() {
	local list=deploy/e2e/apps/requirements.txt
	export GATEHOUSE_APPS=$all GATEHOUSE_APPS_GO=$scratch/apps
	GATEHOUSE_APPS_PYTHON=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/python-$(sha256sum "$list" | cut -c1-16)
	export GATEHOUSE_APPS_PYTHON
	if [[ ! -e $GATEHOUSE_APPS_PYTHON/done ]]; then
		python3 -m venv --clear "$GATEHOUSE_APPS_PYTHON"
		"$GATEHOUSE_APPS_PYTHON/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list"
		touch "$GATEHOUSE_APPS_PYTHON/done"
	fi
	mkdir "$GATEHOUSE_APPS_GO"
	go build -C deploy/e2e/apps -o "$GATEHOUSE_APPS_GO/" ./zitadel ./tool
	[[ -z $all ]] || go build -C deploy/e2e/apps -o "$GATEHOUSE_APPS_GO/oauth2-proxy" github.com/oauth2-proxy/oauth2-proxy/v7
}

free_port() {
	node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

# ready COMMAND… waits until it succeeds, at most 20 seconds.
ready() {
	for _ in {1..200}; do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "not ready after 20 s: $*" >&2
	return 1
}

start_postgres() {
	local bin port as=()
	bin=$(dirname "$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
	port=$(free_port)
	mkdir "$scratch/pg"
	if ((EUID == 0)); then # PostgreSQL refuses to run as root
		chown postgres: "$scratch/pg"
		as=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi
	(cd "$scratch/pg" && "${as[@]}" "$bin/initdb" -D data -U gatehouse -A trust -E UTF8 --no-locale --no-sync)
	(cd "$scratch/pg" && exec "${as[@]}" "$bin/postgres" -D data -p "$port" -c listen_addresses=127.0.0.1 \
		-c unix_socket_directories="$scratch/pg" -c fsync=off -c full_page_writes=off -c max_connections=200) >"$scratch/pg.log" 2>&1 &
	started+=($!)
	ready "$bin/createdb" -h 127.0.0.1 -p "$port" -U gatehouse gatehouse
	export GATEHOUSE_TEST_POSTGRES="postgres://gatehouse@127.0.0.1:$port/gatehouse?sslmode=disable"
}

start_redis() {
	local port
	port=$(free_port)
	mkdir "$scratch/redis"
	redis-server --bind 127.0.0.1 --port "$port" --dir "$scratch/redis" --save '' --appendonly no \
		--maxmemory-policy noeviction >"$scratch/redis.log" 2>&1 &
	started+=($!)
	ready redis-cli -h 127.0.0.1 -p "$port" ping
	export GATEHOUSE_TEST_REDIS="redis://127.0.0.1:$port/0"
}

go_files() { git ls-files -z '*.go' | xargs -0 "$@"; }

# Formatting is not a matter for reviews.
check_format() {
	local bad
	bad=$(go_files gofmt -l)
	[[ -z $bad ]] || { printf 'not formatted, run gofmt -w:\n%s\n' "$bad" && return 1; }
}
# Vet finds what compiles and is still wrong: copied locks, lost cancels, printf arguments, unreachable code.
check_vet() { go vet ./...; }
# Staticcheck finds what vet cannot: unused code, wrong comparisons of errors, deprecated calls.
check_staticcheck() { go tool staticcheck ./...; }
check_scripts() {
	git ls-files -z '*.sh' .ci/run | xargs -0 -n 1 bash -n &&
		git ls-files -z '*.mjs' | xargs -0 -n 1 node --check
}
# The product needs no C compiler. This binary is the one that is shipped, and the one that the browsers drive.
check_build() {
	go build ./... &&
		go build -ldflags='-s -w' -o "$scratch/gatehouse" ./cmd/gatehouse
}

# go_test FILE FLAG… runs Go tests; the results go to FILE.
go_test() {
	local file=$1
	shift
	go test -count=1 -vet=off -timeout=20m -json "$@" 2>&1 | node deploy/e2e/tally.mjs go "$file"
}

# All Go tests: the matrix, the model with 20,000 steps, storetest on three backends, the layout.
go_tests() { go_test "$1" ./...; }

# The race detector makes tests seven times slower, since SQLite is Go code. It runs where goroutines share memory:
# in the packages that start goroutines or hold locks, and in the tests of other packages that act at the same time.
racing_packages=(./broker/clients ./broker/credential ./broker/egress ./broker/limit ./broker/mail ./broker/seal
	./broker/signing ./broker/web ./providers/... ./storage ./storage/redisdb)
acting_packages=(./broker/login ./broker/oidc ./cmd/gatehouse ./storage/gormdb)
acting='AtOnce|Fleet|Replica|Twice|Twenty|Double|Crowd|Meet|Waits|Running|WhileAServerRuns|Outage'

race_tests() {
	local file=$1 verdict=0
	local -x CGO_ENABLED=1
	if [[ $all ]]; then
		go_test "$file" -race -timeout=60m ./...
		return
	fi
	go_test "$file" -race "${racing_packages[@]}" || verdict=1
	go_test "$file.acting" -race -run "$acting" "${acting_packages[@]}" || verdict=1
	results+=("$file.acting")
	return "$verdict"
}

# Two files at a time: each test has its own broker, ports and folder.
browser_tests() (
	cd deploy/e2e
	export GATEHOUSE_BINARY=$scratch/gatehouse TALLY=$1
	node --test --test-concurrency=2 --test-reporter=./tally.mjs --test-reporter-destination=stdout ./*.test.mjs
)

# The model runs four times: two seeds on SQLite, two on PostgreSQL and Redis.
long_model() { go_test "$1" -timeout=3h -run '^TestModel$' ./cmd/gatehouse -args -model.steps=50000; }

# Each fuzz target looks for new inputs for a few seconds; its seeds have run with the tests.
fuzz_targets() {
	git grep -lE '^func Fuzz' -- '*_test.go' | while read -r file; do
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file" | while read -r name; do
			go test -vet=off -run '^$' -fuzz "^$name\$" -fuzztime=10s "./$(dirname "$file")" </dev/null || exit 1
		done || exit 1
	done
}

# Takes out every defence, one at a time: some test must fail.
check_defences() { go run ./deploy/mutate; }

need >"$scratch/log" 2>&1
start_postgres >"$scratch/log" 2>&1
start_redis >"$scratch/log" 2>&1
preparing=
printf '%-34s %4d s  ok\n' "packages, PostgreSQL, Redis" "$SECONDS"

phase "gofmt" check_format
phase "scripts parse" check_scripts
phase "build without C" check_build
phase "go vet" check_vet
phase "staticcheck" check_staticcheck
tests "go test" "$scratch/go.json" go_tests
tests "go test -race${all:+, everything}" "$scratch/race.json" race_tests
tests "browsers, counterparts, replicas" "$scratch/e2e.json" browser_tests
if [[ $all ]]; then
	tests "the long model" "$scratch/model.json" long_model
	phase "fuzz targets" fuzz_targets
	phase "defences" check_defences
fi
printf '%-34s %4d s\n' "all" "$SECONDS"
node deploy/e2e/tally.mjs sum "$broken" "${results[@]}" || status=1
exit "$status"
