# The service as an image, for amd64 and arm64. Everything it writes is in /data: the rest may be read-only.
FROM python:3.12-slim-bookworm AS build
# plyvel has no wheel for arm64: there pip compiles it against these.
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ libleveldb-dev \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN python -m venv /opt/pluto \
 && /opt/pluto/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt

# The web interface is the same for every processor.
FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS web
WORKDIR /web
COPY web/.npmrc web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts --no-progress
COPY web/build.mjs ./
COPY web/src ./src
RUN node build.mjs /static

FROM python:3.12-slim-bookworm
# What a compiled plyvel links to; the wheel of amd64 brings its own.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libleveldb1d libsnappy1v5 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 10001 -g 10001 -m 0700 /data \
 && install -d -o 10001 -g 10001 -m 0755 /dashboards
COPY --from=build /opt/pluto /opt/pluto
WORKDIR /srv/pluto
COPY LICENSE gunicorn.conf.py wsgi.py ./
COPY app ./app
COPY --from=web /static ./app/static
COPY grafana_templates ./grafana_templates
RUN printf '%s\n' '#!/bin/sh' 'export PLUTO_URL="${PLUTO_URL:-http://127.0.0.1:${PORT:-3000}}"' \
      'PYTHONPATH=/srv/pluto exec /opt/pluto/bin/python -P -m app.cli "$@"' > /usr/local/bin/pluto \
 && chmod 755 /usr/local/bin/pluto
ENV PATH=/opt/pluto/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BIND=0.0.0.0 \
    PORT=3000 \
    DATA_DIR=/data \
    GRAFANA_DASHBOARDS_DIR=/data/grafana/dashboards
USER 10001:10001
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "gunicorn"]
