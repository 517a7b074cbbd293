#!/bin/sh
# Builds the portal as one static binary and proves that it is one.
#
#   build/build.sh ARCH OUTPUT [PACKAGE]   ARCH: amd64 or arm64; PACKAGE: ./cmd/portal unless given
#   build/build.sh compiler ARCH           only sees to the C compiler for ARCH
#
# VERSION is what the binary says it is; by default what Git calls this commit. SQLite is C, so a C compiler for ARCH is
# needed; where this runs as root on Debian it is installed.
set -eu

fail() {
	echo "build.sh: $*" >&2
	exit 1
}

# choose sets what names ARCH has: to Go's builder, to the C compiler, to Debian and in an ELF header.
choose() {
	case $1 in
	amd64) triple=x86_64-linux-gnu machine='X86-64' debian=x86-64-linux-gnu ;;
	arm64) triple=aarch64-linux-gnu machine='AArch64' debian=aarch64-linux-gnu ;;
	*) fail "unknown architecture '$1': amd64 or arm64" ;;
	esac
	cc=$triple-gcc
	packages="gcc-$debian libc6-dev-$1-cross"
	if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" = "linux/$1" ]; then
		cc=gcc
		packages="gcc libc6-dev"
	fi
}

# compiler makes sure that there is one that can link, libc included.
compiler() {
	if links; then
		return
	fi
	if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
		apt-get -qq update
		# shellcheck disable=SC2086 # a list of packages
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages >/dev/null
	fi
	links || fail "no C compiler for $1: install $cc with its libc (Debian: $packages)"
}

links() {
	command -v "$cc" >/dev/null 2>&1 && echo 'int main(void) { return 0; }' | "$cc" -static -x c -o /dev/null - 2>/dev/null
}

# prove looks at the result itself: flags can be overridden by an environment, a header cannot.
prove() {
	header=$(readelf -hW "$2")
	case $header in
	*Machine:*"$machine"*) ;;
	*) fail "$2 is not for $1: $header" ;;
	esac
	if readelf -lW "$2" | grep -q INTERP; then
		fail "$2 asks for a dynamic loader"
	fi
	if readelf -dW "$2" | grep -q NEEDED; then
		fail "$2 needs shared libraries: $(readelf -dW "$2" | grep NEEDED)"
	fi
	info=$(go version -m "$2")
	for want in "GOARCH=$1" CGO_ENABLED=1 -trimpath=true "-tags=$tags"; do
		case $info in
		*"$want"*) ;;
		*) fail "$2 was not built with $want: $info" ;;
		esac
	done
	if [ "$(wc -c <"$2")" -gt $((60 * 1024 * 1024)) ]; then
		fail "$2 is larger than 60 MiB"
	fi
}

if [ "${1-}" = compiler ] && [ $# -eq 2 ]; then
	choose "$2"
	compiler "$2"
	exit
fi
[ $# -eq 2 ] || [ $# -eq 3 ] || fail "usage: build.sh ARCH OUTPUT [PACKAGE] | build.sh compiler ARCH"

arch=$1
output=$2
package=${3:-./cmd/portal}
# osusergo, netgo: glibc's own look-ups would load shared libraries at run time. Extensions of SQLite would, too.
tags=osusergo,netgo,sqlite_omit_load_extension
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}

choose "$arch"
compiler "$arch"
CGO_ENABLED=1 GOOS=linux GOARCH=$arch CC=$cc go build -trimpath -buildvcs=false -tags "$tags" \
	-ldflags "-s -w -linkmode external -extldflags -static -X main.version=$version" -o "$output" "$package"
prove "$arch" "$output"
echo "$output: $version, static, linux/$arch, $(($(wc -c <"$output") / 1024)) KiB"
