FROM python:3.12-slim
WORKDIR /app
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.lock \
    && pip install --no-cache-dir --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY pipeline pipeline
COPY topologies topologies
COPY load load
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --system driftwire
USER driftwire
ENTRYPOINT ["driftwire"]
