# The product: operator, git service, and prepare and companion of task pods. The binary comes from `make binary`.
FROM debian:bookworm-slim
# Left out where the base image has them already.
RUN command -v git ssh >/dev/null && test -e /etc/ssl/certs/ca-certificates.crt \
    || { apt-get update \
    && apt-get install -y --no-install-recommends git ca-certificates openssh-client \
    && rm -rf /var/lib/apt/lists/*; }
# ssh works for users that have a name only.
RUN echo 'phasegate:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd
COPY dist/phasegate /usr/local/bin/phasegate
ENV HOME=/tmp
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/phasegate"]
