# One word per thing to do. Everything runs as root on a fresh Debian machine
# with Rust, gcc, python3, make and node; .ci/install brings the rest.

PREFIX ?= /usr
SYSCONFDIR ?= /etc
PLUGINS := blockio cpu memory network scheduler syscall tcp

.PHONY: help build web demo test check bench incidents fuzz kernels install clean

help:
	@echo "make demo     build, run the agent for a moment, show what it measured, open the viewer on it"
	@echo "make build    release binary and plugins: target/release/rezolus, target/release/plugins/"
	@echo "make web      only the viewer's page: modes/web/dist/, which the build puts into the binary"
	@echo "make test     everything that must pass, against this machine's kernel (as root)"
	@echo "make check    formatting and lints"
	@echo "make bench    what measuring costs; writes docs/cost.md"
	@echo "make incidents  incidents with known truth on this machine, and how well they are found (an hour and more)"
	@echo "make fuzz     damaged input to everything that decodes, for a minute each (SECONDS=60)"
	@echo "make kernels  the agent on Debian's 6.1 and 6.12 kernels, in qemu"
	@echo "make install  into DESTDIR, where a package would put it"

build: web
	@.ci/install
	cargo build --release --workspace
	@mkdir -p target/release/plugins
	@for p in $(PLUGINS); do install -m 644 target/release/lib$$p.so target/release/plugins/$$p.so || exit 1; done

# Built again when it changed. Without node the binary is built without the page, and says so.
WEB := modes/web
web: $(WEB)/dist/index.html

$(WEB)/dist/index.html: $(shell find $(WEB)/src $(WEB)/public -type f) $(WEB)/index.html $(WEB)/vite.config.ts $(WEB)/package-lock.json
	@if command -v npm >/dev/null; then \
		cd $(WEB) && npm ci --no-audit --no-fund && npm run build; \
	elif [ -e $@ ]; then \
		echo "npm is missing: the viewer's page stays as it is" >&2; \
	else \
		echo "npm is missing: the binary will be without the viewer's page. Install node 20 and npm" >&2; \
	fi

demo: build
	@.ci/demo

# Tests use the workspace's plugins, deliberately bad ones, and the example.
test: web
	@.ci/install test
	cd $(WEB) && npm test
	cargo build --workspace
	cargo build --manifest-path host/tests/fixtures/Cargo.toml --target-dir target/fixtures
	cargo build --manifest-path docs/example-plugin/Cargo.toml --target-dir target/example
	cargo nextest run --workspace --all-features
	$(WEB)/e2e/run target/debug
	modes/tests/mcp/run target/debug
	cargo check --package rezolus --no-default-features --all-targets

check:
	@.ci/install test
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	git ls-files '*.bpf.c' 'bpf/include/*.h' 'plugins/*/bpf/*.h' | xargs clang-format --dry-run --Werror

bench: build
	@.ci/install bench
	host/benches/cost --write docs/cost.md
	modes/benches/record --write docs/cost.md
	cargo bench --package rezolus-modes --bench day --bench prometheus
	$(WEB)/e2e/bench target/release

# Into a folder of their own; INCIDENTS="--seconds 90 quota leak", for example, chooses, and --help tells.
incidents: build
	@.ci/install bench
	modes/incidents/run --output target/incidents $(INCIDENTS)
	REZOLUS_INCIDENTS=$(CURDIR)/target/incidents cargo test --package rezolus-modes --test incidents -- --nocapture

SECONDS ?= 60
fuzz:
	REZOLUS_FUZZ_SECONDS=$(SECONDS) cargo test --package rezolus-modes --test fuzz

kernels: build
	@.ci/install test
	.ci/kernels

install: build
	install -D -m 755 target/release/rezolus $(DESTDIR)$(PREFIX)/bin/rezolus
	install -d -m 755 $(DESTDIR)$(PREFIX)/lib/rezolus/plugins
	for p in $(PLUGINS); do \
		install -m 644 target/release/plugins/$$p.so $(DESTDIR)$(PREFIX)/lib/rezolus/plugins/$$p.so || exit 1; done
	install -D -m 644 config/config.toml $(DESTDIR)$(SYSCONFDIR)/rezolus/config.toml
	install -D -m 644 packaging/rezolus.service $(DESTDIR)$(PREFIX)/lib/systemd/system/rezolus.service

clean:
	cargo clean
	rm -rf $(WEB)/dist $(WEB)/node_modules
