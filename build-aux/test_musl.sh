#!/bin/sh
# Compiles the C part that knows no Python with musl's libc, and runs its tests.
#
#   test_musl.sh PLACE    the directory to build in; meson and ninja are on the PATH
#
# MESON_ARGS are options for meson setup.
set -eu

place=$1
headers=$place/headers

# Linux's headers alone: those of glibc lie beside them, and are not musl's.
link_headers() {
    mkdir -p "$headers"
    asm=/usr/include/$(gcc -print-multiarch)/asm
    [ -d "$asm" ] || asm=/usr/include/asm
    ln -sfn "$asm" "$headers/asm"
    ln -sfn /usr/include/asm-generic /usr/include/linux "$headers/"
}

link_headers
# shellcheck disable=SC2086 # it is a list
[ -e "$place/build/build.ninja" ] ||
    CC=musl-gcc CFLAGS="-idirafter $(realpath "$headers")" meson setup $MESON_ARGS -Dextension=false "$place/build" >/dev/null
meson test -C "$place/build" --print-errorlogs
