# What can be done with this tree. `make` alone lists it.
#
#   PYTHON       the Python to build for           VENV         where its environment goes
#   MESON_ARGS   options for meson setup           PYTEST_ARGS  options for pytest
#   ARGS         options for the tour or the benchmarks
#   PYTHONS      the Pythons for newer             MIRROR       where other Debians' packages come from
#   KERNEL       the Linux of a guest              TESTS        its tests, with options for pytest
#   MATRIX       whole, fast, or names of guests   GUEST_PYTHON the Python for guests, which a plain user may read

PYTHON ?= python3
VENV ?= .venv
MESON_ARGS ?=
PYTEST_ARGS ?=
ARGS ?=
PYTHONS ?= 3.14 3.15 3.13t
KERNEL ?= 6.12
TESTS ?= tests/kernel
MATRIX ?= whole
GUEST_PYTHON ?= /usr/bin/python3

# A build directory for each environment, so that two Pythons can share the tree.
BUILD := build/$(patsubst .%,%,$(notdir $(VENV)))
BIN := $(abspath $(VENV))/bin

# meson-python looks for meson and ninja on the PATH.
IN_VENV := PATH="$(BIN):$$PATH"
PIP_INSTALL := $(IN_VENV) $(BIN)/pip install --quiet --disable-pip-version-check
MESON_SETTINGS := $(addprefix --config-settings=setup-args=,$(MESON_ARGS))

PIP_DOWNLOAD := $(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest build

# The environment has the sources by their path, with the extension linked beside them. Bytecode of all is made
# here: where none may be written, each process would compile all modules that it imports.
COMPILE = @$(IN_VENV) ninja -C $(BUILD) --quiet && (cd src/ramet && ln -sf ../../$(BUILD)/native/python/_core.*.so .) && \
    $(BIN)/python -m compileall -q src tests

# Guests have the wheel, since their root directory is this machine's and read-only.
GUEST_VENV := build/guest/venv
SOURCES := $(shell find src native build-aux/backend.py meson.build -type f ! -name '*.pyc' 2>/dev/null)

AARCH64_CC := aarch64-linux-gnu-gcc -Wall -Wextra -O2 -Inative/arch/aarch64 -Inative/child

# Every goal may make the environment first, and only one at a time can.
.NOTPARALLEL:

.PHONY: help run test test-recovery test-long lint format pages docs docs-serve site-test bench wheel-test wheels newer older guest matrix aarch64 musl undefined clean

help: ## list what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1 \2/p' Makefile | while read -r name what; do printf '  make %-13s %s\n' "$$name" "$$what"; done

run: $(VENV)/.with-cli,workers ## set up, build, and try every flag on this kernel (the tour)
	$(COMPILE)
	@$(BIN)/ramet tour $(ARGS)

test: $(VENV)/.with-test ## set up, build, and run all tests
	$(COMPILE)
	@$(IN_VENV) meson test -C $(BUILD) --print-errorlogs
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-recovery: $(VENV)/.with-test ## the recovery after a death: by single steps, and with structures that lie elsewhere
	$(COMPILE)
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/recovery

test-long: $(VENV)/.with-bench ## many calls in processes of their own, and whole suites of others: RAMET_SOAK=100000
	$(COMPILE)
	@rm -rf build/pebble-*
	@$(PIP_DOWNLOAD) "$$($(BIN)/pip freeze | grep --ignore-case '^pebble==')"
	@for source in build/pebble-*.tar.gz; do tar --extract --file "$$source" --directory build; done
	$(BIN)/python -m pytest $(PYTEST_ARGS) -o faulthandler_timeout=3600 tests/soak tests/judges

lint: $(VENV)/.with-lint ## check style, types, and the stub of the extension
	$(COMPILE)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml \
	    --allowlist build-aux/stubtest_allowlist.txt --ignore-unused-allowlist ramet._core

format: $(VENV)/.with-lint ## format the Python files
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

pages: $(VENV)/.with-test ## write the pages of docs/reference that are made from the rows and docstrings in src/ramet
	$(COMPILE)
	for script in build-aux/*_page.py build-aux/*_pages.py; do $(BIN)/python $$script || exit 1; done
	$(BIN)/python -m benchmarks.plots

docs: $(VENV)/.with-site pages ## build the site in build/site, and check its links
	$(COMPILE)
	$(IN_VENV) $(BIN)/python build-aux/build_site.py

docs-serve: docs ## serve the site on http://127.0.0.1:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 8000

site-test: docs ## look at the site in Chromium
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/site

bench: $(VENV)/.with-bench ## measure ratios to C and to the alternatives
	$(COMPILE)
	$(BIN)/python -m benchmarks $(ARGS)

wheel-test: $(VENV)/.tools ## build the wheel and test it without the sources
	@rm -rf build/wheel
	@echo "building the wheel"
	@$(IN_VENV) $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	    $(MESON_SETTINGS) --wheel-dir build/wheel .
	@sh build-aux/test_wheel.sh $(PYTHON) build/wheel/ramet-*.whl $(PYTEST_ARGS)

wheels: $(VENV)/.with-wheels ## build the sdist, and wheels for other machines than this, and try them: ARGS="3.13 3.13-aarch64"
	$(COMPILE)
	$(BIN)/python -m tools.wheels $(ARGS)

newer: ## run all tests with newer Pythons, in a Debian made for them once; as root
	@sh build-aux/other_debian.sh sid $(abspath build/newer) $(PYTHONS)

older: ## run all tests with the Python and the libc of Debian 12, in the same way
	@sh build-aux/other_debian.sh bookworm $(abspath build/older) 3.11

guest: $(GUEST_VENV)/.with-wheel ## run tests in a virtual machine with another Linux: KERNEL=5.10 TESTS=tests/kernel/lowlevel
	$(GUEST_VENV)/bin/python -m tools.guest test --kernel $(KERNEL) -- $(TESTS)

matrix: $(GUEST_VENV)/.with-wheel ## run all tests on every Linux, which takes many hours, and write docs/reference/support.md
	[ "$(MATRIX)" != whole ] || $(MAKE) wheels ARGS="--no-sdist 3.14 3.13-aarch64"
	$(GUEST_VENV)/bin/python -m tools.guest matrix $(MATRIX) $(if $(filter command,$(firstword $(origin TESTS))),--tests $(TESTS))

aarch64: ## compile the child's code for aarch64 and run its clone call under qemu
	@sh build-aux/check_prerequisites.sh --aarch64
	@mkdir -p build/aarch64
	for source in native/child/*.c; do $(AARCH64_CC) -ffreestanding -c $$source -o /dev/null || exit 1; done
	$(AARCH64_CC) -static native/arch/aarch64/clone.S tests/aarch64/clone_call.c -o build/aarch64/clone_call
	qemu-aarch64 build/aarch64/clone_call

musl: $(VENV)/.tools ## compile the C part that knows no Python with musl, and run its tests
	@sh build-aux/check_prerequisites.sh --musl
	@$(IN_VENV) MESON_ARGS="$(MESON_ARGS)" sh build-aux/test_musl.sh build/musl

undefined: $(VENV)/.tools ## compile that part so that undefined behaviour ends it, and run its tests
	@[ -e build/undefined/build.ninja ] || \
		$(IN_VENV) meson setup $(MESON_ARGS) -Dextension=false -Dundefined_traps=true build/undefined >/dev/null
	@$(IN_VENV) meson test -C build/undefined --print-errorlogs

clean: ## remove what was built and the environments
	rm -rf build .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis src/ramet/_core.*.so

# setuptools builds what comes without a wheel: jieba, of the extra site.
$(VENV)/.tools:
	@sh build-aux/check_prerequisites.sh $(PYTHON)
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) meson-python meson ninja 'setuptools>=70.1'
	@touch $@

# The extra of that name in pyproject.toml, with ramet itself.
$(VENV)/.with-%: pyproject.toml build-aux/backend.py $(VENV)/.tools
	@echo "building ramet[$*] in $(BUILD)"
	@$(PIP_INSTALL) --no-build-isolation --config-settings=build-dir=$(BUILD) $(MESON_SETTINGS) --editable '.[$*]'
	@touch $@

# It is read-only in a guest, where each process would compile anew what it imports.
$(GUEST_VENV)/.with-wheel: pyproject.toml $(SOURCES)
	@sh build-aux/check_prerequisites.sh $(GUEST_PYTHON)
	@echo "making $(GUEST_VENV)"
	@$(GUEST_PYTHON) -m venv $(GUEST_VENV)
	@rm -rf build/guest/wheel
	@$(GUEST_VENV)/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/guest/wheel .
	@wheel=$$(echo build/guest/wheel/*.whl) && \
	    $(GUEST_VENV)/bin/pip install --quiet --disable-pip-version-check --compile --force-reinstall --no-deps $$wheel && \
	    $(GUEST_VENV)/bin/pip install --quiet --disable-pip-version-check --compile "$$wheel[test]"
	@touch $@
