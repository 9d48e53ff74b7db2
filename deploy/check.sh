#!/usr/bin/env bash
# Everything that must hold before a change goes in. Runs from a clean clone on Debian as root, where it
# installs what is missing; elsewhere it says what is missing. Starts what it needs on free ports, stops it
# again, and touches nothing outside a temporary folder, the module caches and deploy/e2e/node_modules.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/go/bin" GOFLAGS="${GOFLAGS:-} -buildvcs=false" LC_ALL=C.UTF-8

# A clone of another owner's is fine: git only lists files here.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

broken=0 # checks that failed; all of them run, so one call tells everything
status=0
started=()
preparing=yes
scratch=$(mktemp -d "${TMPDIR:-/tmp}/gatehouse-check.XXXXXX")
chmod 711 "$scratch" # PostgreSQL runs as somebody else

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

# phase NAME COMMAND… runs one check quietly, shows all of its output if it fails, and its time either way.
phase() {
	local name=$1 from=$SECONDS verdict=ok
	shift
	if ! "$@" >"$scratch/log" 2>&1; then
		verdict=FAILED broken=$((broken + 1))
		cat "$scratch/log"
	fi
	printf '%-34s %4d s  %s\n' "$name" $((SECONDS - from)) "$verdict"
}

# tests NAME COMMAND… is a phase whose command speaks for itself: tally.mjs prints what failed and nothing else.
tests() {
	local name=$1 from=$SECONDS verdict=ok
	shift
	"$@" || verdict=FAILED status=1
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
	command -v chromium >/dev/null || missing+=(chromium)
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
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

# Reviews are about what code says, so nobody discusses how it is laid out.
check_format() {
	local bad
	bad=$(go_files gofmt -l)
	[[ -z $bad ]] || { printf 'not formatted, run gofmt -w:\n%s\n' "$bad" && return 1; }
}
# Finds what compiles and is still wrong: copied locks, lost cancels, printf arguments, unreachable code.
check_vet() { go vet ./...; }
# Finds what vet cannot: unused code, errors compared wrongly, deprecated calls. It has next to no false alarms.
check_staticcheck() { go tool staticcheck ./...; }
# A script that does not parse fails here and not in somebody's hands.
check_scripts() {
	git ls-files -z '*.sh' .ci/run | xargs -0 -n 1 bash -n &&
		git ls-files -z '*.mjs' | xargs -0 -n 1 node --check
}
# The product needs no C compiler: what is built here is what is shipped, and what the browser tests drive.
check_build() {
	CGO_ENABLED=0 go build ./... &&
		CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$scratch/gatehouse" ./cmd/gatehouse
}

# Sweeps send thousands of requests one after the other, so the race detector would see nothing in them and make
# them three times as slow. They run without it, as does the model, of which it sees a twentieth.
sweeps='TestA15_A24_E17_H1_EveryRouteWithstandsEveryParameter|TestA24_E15_E17_EveryParameterOfARightRequest|TestA24_B1_EveryParameterOfTheJourney'
sweeps+='|TestB20_A24_NoClaimBreaksAPageOrAnAccount|TestD1_D4_D5_D6_D7_D8_D9_TheMatrix|TestD1_D5_A7_WhatAnAppOfAnyKindGotEndsWithItsPerson'

go_tests() {
	CGO_ENABLED=1 go test -race -count=1 -vet=off -timeout=10m -skip "^($sweeps)$" -json ./... 2>&1 | node deploy/e2e/tally.mjs go "$scratch/go.json"
}

# Twenty thousand steps of the model, and the sweeps.
model_tests() {
	nice go test -count=1 -vet=off -timeout=10m -run "^(TestModel|$sweeps)$" -json ./cmd/gatehouse 2>&1 | node deploy/e2e/tally.mjs go "$scratch/model.json"
}

e2e_tests() (
	cd deploy/e2e
	export GATEHOUSE_BINARY=$scratch/gatehouse TALLY=$scratch/e2e.json
	node --test --test-concurrency=1 --test-reporter=./tally.mjs --test-reporter-destination=stdout ./*.test.mjs
)

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
tests "go test -race" go_tests
# Beside the browsers, which wait a good part of their time.
(status=0 && tests "the model, the sweeps" model_tests && exit "$status") &
model=$!
tests "browsers, counterparts, replicas" e2e_tests
wait "$model" || status=1
printf '%-34s %4d s\n' "all" "$SECONDS"
node deploy/e2e/tally.mjs sum "$broken" "$scratch/go.json" "$scratch/model.json" "$scratch/e2e.json" || status=1
exit "$status"
