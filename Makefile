# The same recipes that .ci/run calls.
.PHONY: demo install test browser screenshots promises soak fuzz mutants house fmt clippy doc docs deps lint release dist dist-check sbom bench ci

demo:
	cargo run -q -p sentry-cli -- demo

# The program for this user, without the whole-program optimisation of a release, which takes most of its time.
install:
	@begun=$$(date +%s); cargo install --locked --profile quick --path sentry-cli && \
		echo "installed in $$((($$(date +%s) - begun + 59) / 60)) minutes"

# Unit, integration, end-to-end and doc tests, the page in a browser among them; the binary that the end-to-end tests run
# is built with them. A program of tests that hangs is ended, and its tests are named. What needs something from outside runs
# where scripts/outside finds it, else it says in the end what was skipped and why.
test:
	scripts/setup
	cargo test --workspace --config 'target."cfg(unix)".runner="scripts/bounded"' --features "$$(scripts/outside 2>/dev/null)"
	@scripts/outside >/dev/null

# The page in a browser alone. Pictures of it are left in target/screenshots.
browser:
	scripts/setup
	cargo build -p sentry-cli
	cargo test -p sentry-tests --test browser

# The pictures of docs/operations.md, made anew.
screenshots:
	scripts/setup
	cargo test -p sentry-tests --test browser look::
	cp $${CARGO_TARGET_DIR:-target}/screenshots/page-*.webp docs/images/

# Every promise with its full figure, and docs/promises.md and docs/hostile-repositories.md from it; takes hours. ONLY=p31
# proves one of them. What begins loses its record in docs, so that a proof that fails has none; a record of other code than
# what is checked out, or that no such run can have left, is refused.
promises:
	scripts/setup
	cargo build --profile proof -p sentry-cli
	cargo run -q -p sentry-tests --bin promises-page begin $(ONLY)
	SENTRY_PROMISES=full cargo test --profile proof -p sentry-tests --features disk --test promises $(ONLY) -- --nocapture --test-threads=2
	cargo run -q -p sentry-tests --bin promises-page
	cp $${CARGO_TARGET_DIR:-target}/promises/*.md docs/

# Two hours of 50 watches under faults and restarts; `make test` takes three minutes of it. docs/soak.md says what was seen.
soak:
	scripts/setup build
	cargo build -p sentry-cli
	SENTRY_SOAK_MINUTES=120 cargo test -p sentry-tests --test soak -- --nocapture

# Every fuzz target for FUZZ_SECONDS (600); TARGETS names some. docs/fuzzing.md says what was seen.
fuzz:
	scripts/fuzz $(TARGETS)

# Whether the tests notice small changes: AREA is one of .cargo/mutants, ARGS go to cargo-mutants (scripts/mutants).
mutants:
	scripts/mutants $(AREA) $(ARGS)

# Measures of the product's code: lines, functions, ports, import circles. BEFORE=COMMIT has those of a commit beside them.
house:
	scripts/house $(BEFORE)

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --all-features -- -D warnings

# The documentation of every crate, in which no link is broken.
doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

# The documents as a site, target/site/docs/index.html, in which no link is broken.
docs:
	scripts/docs

# No second TLS stack, and core knows no edges (a test guards that too); licences, bans and sources.
deps:
	scripts/check-deps

# The scripts, the Kubernetes manifests and the alert rules.
lint:
	scripts/lint-deploy

# The binary with its dependencies written into it, for `cargo audit bin`; TARGET=TRIPLE for another kind of machine.
release:
	command -v cargo-auditable >/dev/null || cargo install --locked cargo-auditable
	cargo auditable build --release --locked -p sentry-cli $(addprefix --target ,$(TARGET))

# The packages of this commit, in target/packages: docs/installing.md says what each is for.
dist:
	scripts/dist

# Each of them used as people use it, in bare roots; as root.
dist-check:
	scripts/dist-check

# The bill of materials of the binary: sentry-cli/sentry_bin.cdx.json (CycloneDX).
sbom:
	command -v cargo-cyclonedx >/dev/null || cargo install --locked cargo-cyclonedx
	cargo cyclonedx --manifest-path sentry-cli/Cargo.toml --format json --describe binaries

# BEFORE=PROGRAM has another build of sentry measured beside this one, where that is of use; docs/benchmarks.md says what was seen.
bench:
	cargo bench -p sentry-core --bench redact
	cargo bench -p sentry-config --bench load
	cargo bench -p sentry-forge --bench fetch
	cargo build --release -p sentry-cli
	cargo bench -p sentry-tests --bench idle
	cargo bench -p sentry-tests --bench burst
	cargo bench -p sentry-tests --bench branches
	cargo bench -p sentry-tests --bench road
	cargo bench -p sentry-tests --bench deployer
	cargo bench -p sentry-tests --bench status
	cargo bench -p sentry-tests --bench lint
	cargo bench -p sentry-tests --bench page
	cargo bench -p sentry-tests --bench webhook

ci:
	.ci/run
