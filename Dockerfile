# Builds the binary, then puts it beside git, kubectl and CA certificates, as a user without rights.
FROM rust:1.95-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# `sentry version` names them: the history is not copied.
ARG SENTRY_COMMIT SENTRY_COMMIT_DATE
RUN cargo build --release --locked -p sentry-cli

# trixie: git 2.47 and kubectl 1.32
FROM debian:trixie-slim
# Versions follow Debian's stable release and its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git kubernetes-client openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -m 0770 -o 65532 -g 0 /var/lib/sentry /config
COPY --from=build /src/target/release/sentry /usr/local/bin/sentry
# Any other user id works as well, as long as the state directory may be written.
USER 65532:0
ENV HOME=/tmp SENTRY_STATE_DIR=/var/lib/sentry
VOLUME /var/lib/sentry
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["sentry", "status", "--check"]
CMD ["sentry", "watch"]
