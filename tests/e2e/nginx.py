"""nginx as a reverse proxy that strips /api, as in the deployment of the Node backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import requests
from processes import Process, find_free_port, wait_for

# All headers are set in the location: one proxy_set_header there discards those that it would inherit.
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location /api/ {{
      proxy_pass {upstream}/;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


def start_nginx(start_program: Callable[..., Process], folder: Path, upstream: str) -> str:
    """Start nginx in front of `upstream` and return its URL; the service is at /api/ below it."""
    port = find_free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=upstream))
    proxy = start_program("nginx", "-c", str(config), "-e", "stderr")
    url = f"http://127.0.0.1:{port}"
    wait_for("nginx", lambda: proxy.popen.poll() is not None or is_responding(f"{url}/api/healthz"), 10)
    assert proxy.popen.poll() is None, proxy.read_output()
    return url


def is_responding(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
