#!/bin/sh
# Runs the tests with a Python and a libc that this system does not have, in a small Debian made for them once.
#
#   other_debian.sh SUITE ROOT VERSION ...
#
# As root, with debootstrap. ROOT is the directory in which that Debian is, made when it is not there.
# VERSION is one that the suite has (sid: 3.14), or with a t the free-threaded build of one whose source
# the suite SOURCES has (3.13t). MIRROR is where the packages come from; by default the mirror of
# this system's apt. MESON_ARGS and PYTEST_ARGS are passed to `make test`.
#
# All mounts are made in a mount namespace that ends with the run. The new root is entered by
# pivot_root and not by chroot, in which Linux allows no user namespaces.
set -eu

tree=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

missing() {
    echo "ramet: $1" >&2
    exit 1
}

mirror_of_apt() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1
}

mirror() {
    [ -n "${MIRROR:-$(mirror_of_apt)}" ] || apt-get update -qq >&2 || true
    echo "${MIRROR:-$(mirror_of_apt)}"
}

# This system's apt settings are used there too: proxies, certificates, the age of lists.
copy_settings() {
    ! command -v apt-config >/dev/null || apt-config dump Acquire >"$root/etc/apt/apt.conf.d/10acquire"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    [ ! -d /usr/local/share/ca-certificates ] ||
        cp -R /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    cp -L /etc/resolv.conf "$root/etc/"
}

make_root() {
    [ ! -e "$root/etc/ramet" ] || return 0
    command -v debootstrap >/dev/null || missing "there is no debootstrap; install with: apt install debootstrap"
    from=$(mirror)
    [ -n "$from" ] || missing "apt does not tell where Debian's packages are; say it: make newer MIRROR=..."
    echo "making a Debian $suite in $root"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$from" >"$root.log" 2>&1 ||
        { tail "$root.log" >&2 && missing "debootstrap failed; $root.log has all of it"; }
    echo "deb-src $from ${SOURCES:-stable} main" >"$root/etc/apt/sources.list.d/sources.list"
    touch "$root/etc/ramet"
}

# In the new mount namespace.
enter() {
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mkdir run/outside run/tree
    mount --bind "$tree" run/tree
    mount -o remount,bind,ro run/tree
    pivot_root . run/outside
    cd /
    umount --lazy /run/outside
    exec sh /run/tree/build-aux/in_other_debian.sh "$@"
}

if [ "$1" = --enter ]; then
    root=$2
    shift 2
    enter "$@"
fi

suite=$1
root=$2
shift 2
[ "$(id -u)" = 0 ] || missing "only root can make a Debian and enter it"
make_root
copy_settings
exec unshare --mount --propagation private sh "$0" --enter "$root" "$@"
