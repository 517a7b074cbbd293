# syntax=docker/dockerfile:1

# Built on the machine's own architecture for the asked one: cross compiling takes a minute, emulation ten.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETARCH
ARG VERSION=
WORKDIR /src
COPY build/build.sh build/
RUN build/build.sh compiler "$TARGETARCH"
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/cache \
    GOCACHE=/go/cache VERSION="$VERSION" build/build.sh "$TARGETARCH" /out/portal \
    && mkdir /out/data \
    && cp /etc/ssl/certs/ca-certificates.crt "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/

FROM scratch
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/zoneinfo.zip /zoneinfo.zip
COPY --from=build /out/portal /portal
# A volume takes over the owner of the folder it is first mounted on.
COPY --from=build --chown=65532:65532 /out/data /data
ENV ZONEINFO=/zoneinfo.zip
USER 65532:65532
WORKDIR /data
VOLUME /data
ENTRYPOINT ["/portal"]
CMD ["serve"]
