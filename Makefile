# The same recipes that .ci/run calls.
.PHONY: demo test promises soak fmt clippy deps lint bench ci

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

# Two hours of 50 watches under faults and restarts; `make test` takes three minutes of it.
soak:
	scripts/setup
	cargo build -p sentry-cli
	SENTRY_SOAK_MINUTES=120 cargo test -p sentry-tests --test soak -- --nocapture

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
