#!/bin/sh
# Installs a wheel in its own virtual environment and tests it in a copy of the tree without the
# sources: a file that the wheel lacks is not found in the tree.
#
#   test_wheel.sh PYTHON WHEEL [option of pytest ...]
set -eu

python=$1
wheel=$(realpath "$2")
shift 2

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM

"$python" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "$wheel[test,types]"
mkdir "$place/tree"
tar --create --exclude=./.git --exclude='./.venv*' --exclude=./build --exclude=./src --exclude=./native . |
    tar --extract --directory "$place/tree"

echo "reading its types"
cp tests/contract/typed_use.py "$place"
cd "$place"
venv/bin/mypy --strict typed_use.py
venv/bin/pyright --pythonpath venv/bin/python typed_use.py

cd "$place/tree"
# Two files of tests read the sources, which are not there.
"$place/venv/bin/python" -m pytest --ignore tests/contract/test_contributing.py \
    --ignore tests/contract/test_recovery_fence.py "$@"
