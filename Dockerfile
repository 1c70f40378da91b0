# Built from source in one stage, run without a shell's worth of tools in the other.
#
#   docker build -t countersign .
#   docker run -p 8080:8080 -v countersign:/var/lib/countersign -v ./countersign.toml:/etc/countersign/countersign.toml:ro countersign
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package countersign

FROM debian:bookworm-slim
COPY --from=build /src/target/release/countersign /usr/local/bin/countersign
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/countersign
USER 65532:65532
WORKDIR /var/lib/countersign
VOLUME /var/lib/countersign
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["countersign"]
CMD ["serve", "--config", "/etc/countersign/countersign.toml"]
