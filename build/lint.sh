#!/bin/sh
# Looks for what tests do not find: go vet, staticcheck, gofmt and templ fmt, over the whole module and the tests in it.
# staticcheck has a go.mod of its own, build/tools; it is built once into bin/.
set -eu
cd "$(dirname "$0")/.."

mkdir -p bin
failed=0

unformatted=$(git ls-files -co --exclude-standard -- '*.go' | while read -r file; do
	if [ -e "$file" ]; then gofmt -l "$file"; fi
done)
if [ -n "$unformatted" ]; then
	echo "not as gofmt writes it (gofmt -w):" "$unformatted" >&2
	failed=1
fi

for dir in $(git ls-files -co --exclude-standard -- '*.templ' | xargs -r -n1 dirname | sort -u); do
	if ! go tool templ fmt -fail "$dir" 2>bin/templ-fmt.log; then
		cat bin/templ-fmt.log >&2
		echo "not as templ writes it; now it is: $dir" >&2
		failed=1
	fi
done

go vet ./... || failed=1

go -C build/tools build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
bin/staticcheck ./... || failed=1

exit $failed
