# syntax=docker/dockerfile:1
# One image for master and worker: `docker build -t memquake:dev .`, then the same command line as
# outside it: `docker run --rm memquake:dev --list-scenarios`. Neither memcached nor
# toxiproxy-server is in it: they come from their own images (docker-compose.yml, k8s/).

FROM python:3.11-slim AS packages
WORKDIR /build
COPY requirements.txt constraints.txt ./
# Without pip inside: what the final stage takes over is packages alone.
RUN python -m venv --without-pip /opt/packages \
    && pip --python /opt/packages/bin/python install \
        --no-cache-dir --disable-pip-version-check --only-binary :all: -r requirements.txt \
    && /opt/packages/bin/python -m compileall -q -j 0 /opt/packages/lib

FROM packages AS program
WORKDIR /opt/memquake
COPY . .
# Compiled here, because nothing can be written where it runs.
RUN /opt/packages/bin/python -m compileall -q . \
    && install -d -o 10001 -g 10001 /runs

FROM python:3.11-slim
ARG VERSION=dev
LABEL org.opencontainers.image.title="memquake" \
      org.opencontainers.image.description="Load, faults and a verdict for memcached; master and worker" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim"
COPY --from=packages /opt/packages /opt/packages
COPY --from=program /opt/memquake /opt/memquake
# A new volume at /runs takes over its owner.
COPY --from=program --chown=10001:10001 /runs /runs
ENV PATH=/opt/packages/bin:$PATH \
    PYTHONPATH=/opt/memquake \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    LOCUST_RUNS_DIR=/runs
WORKDIR /opt/memquake
USER 10001:10001
EXPOSE 5557 8089
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-S", "-m", "session.health"]
ENTRYPOINT ["locust"]
