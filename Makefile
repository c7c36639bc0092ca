# SPDX-License-Identifier: LGPL-3.0-or-later
# The two commands that matter are `make run` and `make test`; both install what is missing.
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
SOAK_SECONDS ?= 600
BUILD = build
CHECKED = build-asan
THREADED = build-tsan
FUZZED = build-fuzz

.PHONY: run build test soak bench fuzz format lint check install clean packages test-packages

run: build
	$(BUILD)/kotare watch samples/lab.pcap.zst

packages:
	@scripts/install-packages

test-packages:
	@scripts/install-packages test

build: packages
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix=$(PREFIX) -Dtests=false \
		-Doptimization=3 -Db_lto=true
	@ninja -C $(BUILD)

# The program is built as users get it; the tests by gcc under ASan and UBSan, and by clang under
# TSan: so both compilers see every line, and a warning of either is an error.
test: test-packages build check
	@test -f $(CHECKED)/build.ninja || CC=gcc meson setup $(CHECKED) -Dui=false \
		-Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(CHECKED)
	@test -f $(THREADED)/build.ninja || CC=clang-14 meson setup $(THREADED) -Dui=false \
		-Db_sanitize=thread -Db_lundef=false
	@ninja -C $(THREADED)
	@scripts/run-tests $(BUILD) $(CHECKED) $(THREADED)

# Minutes, not seconds: the long forms of what `make test` does in short.
soak: test-packages build
	@SOAK_SECONDS=$(SOAK_SECONDS) scripts/soak $(BUILD)/kotare

# FUZZ_SECONDS for each target, two targets at a time.
fuzz: test-packages
	@test -f $(FUZZED)/build.ninja || CC=clang-14 meson setup $(FUZZED) -Dfuzz=true -Dui=false \
		-Dtests=false -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(FUZZED)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz $(FUZZED)

# Beside tcpdump and ndpiReader; BENCH=--rounds=3 for less.
bench: build
	@scripts/install-packages bench
	@ninja -C $(BUILD) bench/bench-mix
	@bench/run --build $(BUILD) $(BENCH)

format: test-packages
	git ls-files '*.c' '*.h' | xargs clang-format-14 -i

# What takes no compiler.
check: test-packages
	@scripts/check-layers
	@scripts/check-scripts

lint: test-packages build check
	git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror
	cd ui && npm run --silent check

install: build
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD)
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild
	@[ "$$(id -u)" != 0 ] || chown -R --reference=Makefile $(BUILD) # by sudo: it stays its owner's

clean:
	rm -rf $(BUILD) $(CHECKED) $(THREADED) $(FUZZED) ui/node_modules ui/dist ui/.npm-lock \
		tests/end-to-end/node_modules
	find . -name __pycache__ -type d -prune -exec rm -r {} +
