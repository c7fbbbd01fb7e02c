#!/usr/bin/env bash
# Runs tests and closes with one line of the form `N passed, N failed`: `setup/test.sh REPORT [VITEST'S ARGUMENTS]`.
set -eu
mkdir -p build
report="build/$1.json"
shift
status=0
vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || status=$?
node setup/test-summary.ts --ended="$status" "$report" || status=1
exit "$status"
