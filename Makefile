# The same recipes that .ci/run calls.
.PHONY: demo test build fmt clippy doctest deps lint bench ci

demo:
	cargo run -q -p sentry-cli -- demo

test: build
	cargo test --workspace --all-targets

# The end-to-end tests run the binary itself.
build:
	scripts/setup
	cargo build --workspace --all-targets

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

doctest:
	cargo test --workspace --doc

# No second TLS stack, and core knows no edges (a test guards that too); licences, bans and sources.
deps:
	scripts/check-deps

# The Dockerfile and the Kubernetes manifests.
lint:
	scripts/lint-deploy

bench:
	cargo bench -p sentry-forge --bench fetch

ci:
	.ci/run
