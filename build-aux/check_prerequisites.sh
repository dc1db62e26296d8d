#!/bin/sh
# Names in one line what this machine lacks to build ramet, before the build.
# Plain POSIX sh: it works without Python.
#
#   check_prerequisites.sh PYTHON       what a build needs
#   check_prerequisites.sh --aarch64    what the check of the aarch64 assembly needs
#   check_prerequisites.sh --musl       what the tests with musl need

missing() { # what, Debian's packages, Fedora's packages
    echo "ramet: $1; install with: apt install $2 (Debian, Ubuntu) or dnf install $3 (Fedora)" >&2
    exit 1
}

preprocesses() { # compiler, header
    echo "#include <$2>" | "$1" -E -x c - >/dev/null 2>&1
}

check_system() {
    [ "$(uname -s)" = Linux ] && return
    echo "ramet: this is $(uname -s): ramet is made of Linux system calls and needs Linux" >&2
    exit 1
}

check_python() {
    command -v "$python" >/dev/null 2>&1 ||
        missing "there is no $python" "python3 python3-dev python3-venv" "python3 python3-devel"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
        missing "$python does not run" "python3 python3-dev python3-venv" "python3 python3-devel"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        missing "$python is Python $version and 3.11 is needed (then: make PYTHON=python3.11)" \
            "python3.11 python3.11-dev python3.11-venv" "python3.11 python3.11-devel"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        missing "$python has no venv module" "python$version-venv" "python$version"
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -e "$headers/Python.h" ] ||
        missing "the headers of $python are not there" "python$version-dev" "python$version-devel"
}

check_compiler() {
    # CC may carry options of its own.
    compiler=${CC:-cc}
    compiler=${compiler%% *}
    command -v "$compiler" >/dev/null 2>&1 ||
        missing "there is no C compiler ($compiler)" "gcc libc6-dev" "gcc"
    preprocesses "$compiler" stdio.h || missing "the headers of libc are not there" "libc6-dev" "glibc-devel"
    preprocesses "$compiler" linux/sched.h ||
        missing "the headers of Linux are not there" "linux-libc-dev" "kernel-headers"
    command -v nm >/dev/null 2>&1 || missing "there is no nm" "binutils" "binutils"
}

check_aarch64() {
    command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 && preprocesses aarch64-linux-gnu-gcc stdio.h ||
        missing "there is no C cross compiler with a libc for aarch64" \
            "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" "gcc-aarch64-linux-gnu sysroot-aarch64-fc*-glibc"
    command -v qemu-aarch64 >/dev/null 2>&1 || missing "there is no qemu-aarch64" "qemu-user" "qemu-user"
}

check_musl() {
    command -v musl-gcc >/dev/null 2>&1 || missing "there is no musl-gcc" "musl-tools" "musl-gcc"
}

check_system
if [ "$1" = --aarch64 ]; then
    check_aarch64
elif [ "$1" = --musl ]; then
    check_musl
else
    python=${1:-python3}
    check_python
    check_compiler
fi
