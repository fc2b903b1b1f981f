# syntax=docker/dockerfile:1
#
# The gateway alone, for engines that run elsewhere (`urls:`). conf/install.md shows how to run it, and how to add vLLM.
#
#   docker build -t enginehouse .

# Debian 12 on purpose: the binary also runs on systems with an older C library (glibc 2.34), as in vLLM's images.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# `.cargo` sets how the allocator is built.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin enginehouse \
    && cp target/release/enginehouse /usr/local/bin/enginehouse

FROM debian:stable-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/enginehouse --create-home enginehouse
COPY --from=build /usr/local/bin/enginehouse /usr/local/bin/enginehouse
USER enginehouse
# State directories are /var/lib/enginehouse/NAME: mount a volume at /var/lib/enginehouse to keep them.
ENV XDG_STATE_HOME=/var/lib
# 8000: requests (`listen`). 8001: the operators' API and metrics (`admin.listen`).
EXPOSE 8000 8001
# There is no curl in the image. A configuration with another port in `listen` needs another check (`docker run --health-cmd`).
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && read -r head <&3 && [[ $head == *' 200 '* ]]"]
# It acts on SIGTERM also as process 1. `docker stop` must wait longer than `timeouts.drain`: see conf/install.md.
STOPSIGNAL SIGTERM
ENTRYPOINT ["enginehouse"]
CMD ["serve", "/etc/enginehouse/enginehouse.yaml"]
