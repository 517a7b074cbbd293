#!/bin/sh
# Sees to what the tests need beside Go: a browser, and a C compiler for the other architecture. As root on Debian it
# installs what is missing; elsewhere it says what is, and with CI=true that is a failure.
set -eu

missing=
need() { # need PACKAGE COMMAND...: any of the commands will do
	package=$1
	shift
	for command in "$@"; do
		if command -v "$command" >/dev/null 2>&1; then
			return
		fi
	done
	missing="$missing $package"
}

command -v go >/dev/null 2>&1 || {
	echo "prepare.sh: Go is missing: https://go.dev/dl/" >&2
	exit 1
}
need git git
need gcc gcc cc
need chromium chromium chromium-browser google-chrome google-chrome-stable
case $(go env GOHOSTARCH) in
amd64) need "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" aarch64-linux-gnu-gcc ;;
arm64) need "gcc-x86-64-linux-gnu libc6-dev-amd64-cross" x86_64-linux-gnu-gcc ;;
esac
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
	echo "prepare.sh: installing$missing"
	apt-get -qq update
	# shellcheck disable=SC2086 # a list of packages
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
	exit 0
fi
echo "prepare.sh: missing (names of Debian's packages):$missing" >&2
[ "${CI-}" != true ]
