"""nginx as it stands in front of the backend: it strips /api."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import requests
from processes import Process, free_port, wait_for

# Every header of the location stands in the location: one proxy_set_header there discards all that are inherited.
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


def nginx(run: Callable[..., Process], folder: Path, upstream: str) -> str:
    """Starts it in front of `upstream`; returns its URL, under which the service is at /api/."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=upstream))
    proxy = run("nginx", "-c", str(config), "-e", "stderr")
    url = f"http://127.0.0.1:{port}"
    wait_for("nginx", lambda: proxy.popen.poll() is not None or answers(f"{url}/api/healthz"), 10)
    assert proxy.popen.poll() is None, proxy.text()
    return url


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
