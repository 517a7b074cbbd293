#!/bin/sh
# Runs one of the harnesses that hunt for faults in full: build/harness.sh NAME TEST FLAGS... Its figure, a line that
# begins with "NAME: ", comes last; the exit code is the harness's.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin
name=$1 test=$2
shift 2

code=0
{
	go test -race -count=1 -timeout 40m -v -run "^$test\$" ./internal/story "$@" 2>&1 || code=$?
	echo "$code" >"bin/$name.code"
} | tee "bin/$name.txt" | grep -v 'level=INFO'
grep "^$name: " "bin/$name.txt" | tail -n 1
exit "$(cat "bin/$name.code")"
