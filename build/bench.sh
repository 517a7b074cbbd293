#!/bin/sh
# Runs the benchmarks and prints each figure beside its target. A benchmark states its target itself, as a metric named
# "target-UNIT" beside the figure (b.ReportMetric(150, "target-p99-ms") beside "p99-ms"), so that the two cannot part.
# A missed target is marked and makes the exit code 1: the figures are of two cores with nothing else to do.
set -eu
cd "$(dirname "$0")/.."
mkdir -p bin

[ $# -gt 0 ] || set -- ./...
go test -timeout 30m -run '^$' -bench . -benchtime "${BENCHTIME-1s}" "$@" >bin/bench.txt || {
	cat bin/bench.txt >&2
	exit 1
}
awk '
/^Benchmark/ {
	split("", value)
	for (i = 3; i < NF; i += 2) value[$(i + 1)] = $i
	for (unit in value) {
		if (unit ~ /^target-/) continue
		goal = "target-" unit
		verdict = ""
		if (goal in value) {
			# a rate is to be reached, everything else not to be passed
			missed = unit ~ /\/s$/ ? value[unit] + 0 < value[goal] + 0 : value[unit] + 0 > value[goal] + 0
			verdict = "target " value[goal] (missed ? "  MISSED" : "  held")
			if (missed) failed = 1
		}
		printf "%-48s %14s %-12s %s\n", $1, value[unit], unit, verdict
	}
}
END { exit failed }' bin/bench.txt
