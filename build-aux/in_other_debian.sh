#!/bin/sh
# The part of other_debian.sh that runs inside: installs what is missing, and runs the tests.
#
#   in_other_debian.sh VERSION ...
#
# A copy of the tree for root and one for a plain user; their environments stay for the next time.
set -eu

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PIP_PREFER_BINARY=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset MAKEFLAGS MAKELEVEL MFLAGS VENV PYTHON PYTHONPATH PIP_FIND_LINKS # some lie outside
tree=/run/tree

installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_what_lacks() {
    lacking=
    for package; do
        installed "$package" || lacking="$lacking $package"
    done
    [ -n "$lacking" ] || return 0
    echo "installing$lacking"
    apt-get update -qq
    # shellcheck disable=SC2086 # it is a list
    apt-get install -qq --yes --no-install-recommends $lacking >/dev/null
}

# Debian has no packages of these, and changes where its own Pythons look for theirs: hence the original.
build_free_threaded() { # 3.13
    place=/opt/python$1t
    [ ! -x "$place/bin/python$1t" ] || return 0
    install_what_lacks xz-utils zlib1g-dev libffi-dev libssl-dev libbz2-dev liblzma-dev
    echo "building a free-threaded Python $1"
    rm -rf /usr/src/python && mkdir -p /usr/src/python && cd /usr/src/python
    { apt-get update -qq && apt-get source -qq --download-only "python$1" && tar --extract --file python*.orig.tar.xz &&
        cd Python-* && ./configure --quiet --prefix="$place" --disable-gil &&
        make --silent --jobs="$(nproc)" && make --silent altinstall; } >/usr/src/log 2>&1 ||
        { tail /usr/src/log >&2 && return 1; }
    cd / && rm -rf /usr/src/python
}

get_python() { # 3.14 or 3.13t; sets python
    case $1 in
    *t)
        build_free_threaded "${1%t}"
        python=/opt/python$1/bin/python$1
        ;;
    *)
        install_what_lacks "python$1" "python$1-dev" "python$1-venv" "libpython$1-testsuite"
        python=python$1
        ;;
    esac
}

# Files that the tree no longer has are removed from the copy; the environments stay.
copy_tree() { # where to, whose, for which version
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name '.venv*' ! -name build -exec rm -rf {} +
    tar --create --directory "$tree" --exclude=./.git --exclude='./.venv*' --exclude=./build \
        --exclude='*.so' --exclude=__pycache__ . | tar --extract --no-same-owner --directory "$1"
    # cffi has no build for the free-threaded 3.13, and no condition on a requirement can say so.
    [ "$3" != 3.13t ] || sed -i '/^ *"cffi>/d' "$1/pyproject.toml"
    chown -R "$2:$2" "$1"
}

test_as() { # uid, where its copy is, the version
    copy_tree "$2" "$1" "$3"
    echo "======== $("$python" -VV), as uid $1"
    (cd "$2" && setpriv --reuid "$1" --regid "$1" --clear-groups \
        env HOME="$2" make test PYTHON="$python" VENV=".venv-$3") || failed="$failed $3"
}

failed=
update-ca-certificates >/dev/null 2>&1
install_what_lacks gcc libc6-dev make util-linux binutils procps
for version; do
    get_python "$version"
    test_as 0 /home/root "$version"
    test_as 65534 /home/plain "$version"
done
[ -z "$failed" ] || { echo "not well with:$failed" >&2 && exit 1; }
