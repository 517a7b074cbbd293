#!/bin/sh
# Looks for what tests do not find: go vet, staticcheck, gofmt and templ fmt, over the whole module, devstack's, and the
# tests in them.
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

# templ has no mode that only looks: it formats a copy, and says there whether that changed anything.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for file in $(git ls-files -co --exclude-standard -- '*.templ' ':!**/testdata/**'); do
	if [ -e "$file" ]; then
		mkdir -p "$copy/$(dirname "$file")"
		cp "$file" "$copy/$file"
	fi
done
if ! go tool templ fmt -fail "$copy" 2>bin/templ-fmt.log; then
	cat bin/templ-fmt.log >&2
	for file in $(cd "$copy" && find . -name '*.templ'); do
		cmp -s "$copy/$file" "$file" || echo "not as templ writes it (make generate): $file" >&2
	done
	failed=1
fi

go -C build/tools build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
staticcheck=$PWD/bin/staticcheck
for module in . devstack devstack/workloads/images; do
	(cd "$module" && go vet ./... && "$staticcheck" ./...) || failed=1
done

exit $failed
