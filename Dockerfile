# The image of a cluster: vocabox and what it needs, run by nobody in particular.
# Build: docker build --build-arg BASE=python:3.11-slim@sha256:... -t vocabox:ray-2.60.0 .
# The base has no default. Name one of Python 3.11 by its digest: a tag may be another image tomorrow.
ARG BASE
FROM ${BASE} AS build
ARG BASE
USER root
RUN digest="${BASE##*@sha256:}"; \
    if [ "$digest" = "$BASE" ] || [ "${#digest}" -ne 64 ]; then \
        echo "BASE: must end in @sha256: and 64 digits; got '$BASE'. Name the base by digest." >&2; \
        exit 1; \
    fi
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY cluster/ cluster/
COPY components/ components/
COPY pipelines/ pipelines/
RUN python -m venv /opt/vocabox && \
    /opt/vocabox/bin/pip install --no-cache-dir --constraint cluster/constraints.txt .

FROM ${BASE}
USER root
COPY --from=build /opt/vocabox /opt/vocabox
RUN mkdir -p /store /home/vocabox && chown 10001:10001 /store /home/vocabox
ENV PATH=/opt/vocabox/bin:$PATH \
    HOME=/home/vocabox \
    USER=vocabox \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
WORKDIR /home/vocabox
HEALTHCHECK --interval=60s --timeout=20s CMD ["vocabox", "--version"]
CMD ["vocabox", "--help"]
