# SPDX-License-Identifier: LGPL-3.0-or-later
# The two commands that matter are `make run` and `make test`; both install what is missing.
PREFIX ?= /usr/local
BUILD = build
SANITIZED = build-asan

.PHONY: run build test lint format install clean packages

run: build
	$(BUILD)/kotare watch samples/lab.pcap.zst

packages:
	@scripts/install-packages

build: packages
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix=$(PREFIX)
	@ninja -C $(BUILD)

# The unit tests run under ASan and UBSan; the program itself is built as users get it.
test: build
	scripts/check-layers
	@test -f $(SANITIZED)/build.ninja || meson setup $(SANITIZED) -Dui=false \
		-Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(SANITIZED)
	@ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 scripts/run-tests $(SANITIZED) $(BUILD)

lint: packages
	scripts/check-layers
	git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror

format: packages
	git ls-files '*.c' '*.h' | xargs clang-format-14 -i

install: build
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(SANITIZED)
