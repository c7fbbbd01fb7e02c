#!/usr/bin/env bash
# Runs the tests and closes with one line of the form `N passed, N failed`.
set -eu
mkdir -p build
status=0
vitest run --reporter=default --reporter=json --outputFile.json=build/tests.json "$@" || status=$?
node setup/test-summary.ts build/tests.json || status=1
exit "$status"
