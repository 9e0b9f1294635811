#!/bin/sh
# Runs every test of the project, under the race detector and on a real Redis where there is one. What is missing is
# installed where apt or brew can; what had to be left out is said at the end.
#
#	./test.sh            all tests
#	./test.sh -run Purge whatever go test understands
set -eu
cd "$(dirname "$0")"

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi
}

# need COMMAND PACKAGE: installs the package if the command is missing; fails if it still is.
need() {
	command -v "$1" >/dev/null && return
	echo "test.sh: $1 is missing; trying to install $2"
	if command -v apt-get >/dev/null; then
		{ as_root apt-get update && as_root apt-get install -y --no-install-recommends $2; } >/dev/null 2>&1 || true
	elif command -v brew >/dev/null; then
		brew install "${3:-$2}" >/dev/null 2>&1 || true
	fi
	command -v "$1" >/dev/null
}

left_out=
need redis-server redis-server redis || left_out="$left_out
  tests on a real Redis (they ran on an embedded one): install redis-server"

need wrk wrk || left_out="$left_out
  measuring hits over sockets with wrk (they were measured with a client of our own): install wrk"

race=-race
if [ "$(go env CGO_ENABLED)" != 1 ] || ! command -v "$(go env CC)" >/dev/null; then
	if need gcc "gcc libc6-dev" gcc; then
		export CGO_ENABLED=1
	else
		race=
		left_out="$left_out
  the race detector: install a C compiler"
	fi
fi

set -x
go test $race -count=1 -timeout 15m "$@" ./... ./bench/... ./chi/... ./echov5/... ./examples/... ./fleet/...
# What holds of every router, of those too that this module does not depend on. Races are looked for in their own tests.
go test -count=1 -timeout 10m "$@" -overlay .ci/edges.json ./middleware
# Allocations cannot be counted under the race detector.
go test -count=1 -run Allocat ./... ./echov5/...
{ set +x; } 2>/dev/null

if [ -n "$left_out" ]; then
	echo "test.sh: passed, without:$left_out"
else
	echo "test.sh: passed, with the race detector and a real Redis"
fi
