#!/bin/sh
# Runs every test of the project, with the race detector and on a real Redis where possible. It installs missing tools with
# apt or brew if it can. At the end it says what it had to leave out.
#
#	./test.sh            all tests: about 8 minutes on two cores
#	./test.sh -short     the essentials: about two minutes
#	./test.sh -run Purge any flags of go test
set -eu
cd "$(dirname "$0")"

short=
for arg in "$@"; do
	case $arg in -short | --short | -short=true | --short=true) short=1 ;; esac
done
if [ -n "$short" ]; then
	echo "test.sh: the essentials, without the race detector. This takes about two minutes on two cores; more the first time, when Go builds."
else
	echo "test.sh: everything, in three parts. This takes about 8 minutes on two cores; ./test.sh -short proves the essentials in two."
fi

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

# tests PACKAGES FLAGS: runs the tests of the packages (one argument, separated by spaces) and shows the progress.
tests() {
	in=
	for pattern in $1; do in="$in -in $pattern"; done
	shift
	go run ./internal/progress $in "$@"
}

if [ -n "$short" ]; then
	# A dozen tests take a third of the time: floods, stalls, slow clients, failovers and long waits.
	slow='TestPartsThatMayNotBeSharedAreNot|TestFloodOf|TestLongBodies|TestClientThatDoesNotRead|TestStalledStreams'
	slow="$slow|TestPanickingHookIsAFault|TestListenerMayCallTheCache|TestSlowAnswersAreRefreshedEarly|TestAStreamAllocatesLittle"
	slow="$slow|TestAPurgeOutlivesItsRecord|TestAFailedPurgeIsTold|TestFollowerOutlivesFailover|TestNothingCountsAsWritten"
	tests "./... ./chi/... ./echov5/... ./examples/... ./fleet/... ./store/otterstore/..." -skip 'examples/prox(y|ies)$' -- -count=1 -timeout 5m -skip "$slow" "$@"
	echo "test.sh: passed, without:$left_out
  the race detector
  the slowest tests: $(echo "$slow" | tr '|' ' ')
  the suites of middleware on the routers of other modules
  the measuring programs (bench) and the proxies in examples
All of it runs without -short."
	exit
fi

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

echo "test.sh: part 1 of 3, all tests${race:+ under the race detector}"
tests "./... ./bench/... ./chi/... ./echov5/... ./examples/... ./fleet/... ./store/otterstore/..." -- $race -count=1 -timeout 15m "$@"
# What must hold on every router, also on those that this module does not depend on. Part 1 has looked for races.
echo "test.sh: part 2 of 3, the suites of middleware on the routers of other modules"
tests ./middleware -- -count=1 -timeout 10m "$@" -overlay .ci/edges.json
# Allocations cannot be counted under the race detector.
echo "test.sh: part 3 of 3, allocations"
tests "./... ./echov5/..." -- -count=1 -run Allocat

if [ -n "$left_out" ]; then
	echo "test.sh: passed, without:$left_out"
else
	echo "test.sh: passed, with the race detector and a real Redis"
fi
