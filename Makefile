# The same recipes that .ci/run calls.
.PHONY: demo test promises kill-points fuzz mutants fmt clippy deps lint bench ci

demo:
	cargo run -q -p sentry-cli -- demo

# Unit, integration, end-to-end and doc tests; the binary that the end-to-end tests run is built with them.
test:
	scripts/setup
	cargo test --workspace

# Every promise with its full figure, and docs/promises.md from it; takes hours. ONLY=p31 proves one of them.
promises:
	scripts/setup
	cargo build -p sentry-cli
	SENTRY_PROMISES=full cargo test -p sentry-tests --test promises $(ONLY) -- --nocapture --test-threads=2
	cargo run -q -p sentry-tests --bin promises-page > docs/promises.md

# The process killed at each of its points, some 250 of them; `make test` takes 40.
kill-points:
	scripts/setup
	cargo build -p sentry-cli
	SENTRY_KILL_POINTS=all cargo test -p sentry-tests --test road kills -- --nocapture

# Every fuzz target for FUZZ_SECONDS (600); TARGETS names some. docs/fuzzing.md says what was seen.
fuzz:
	scripts/fuzz $(TARGETS)

# Whether the tests notice small changes of policy, naming, redaction, cursors and retries (.cargo/mutants.toml).
mutants:
	scripts/mutants

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

# No second TLS stack, and core knows no edges (a test guards that too); licences, bans and sources.
deps:
	scripts/check-deps

# The Dockerfile and the Kubernetes manifests.
lint:
	scripts/lint-deploy

bench:
	cargo bench -p sentry-forge --bench fetch
	cargo build --release -p sentry-cli
	cargo bench -p sentry-tests --bench idle
	cargo bench -p sentry-tests --bench road

ci:
	.ci/run
