"""The WSGI application for gunicorn: `gunicorn wsgi:app`. Importing it starts nothing; gunicorn.conf.py starts it in
the worker."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402  (after the patch)

from app.application import create_app  # noqa: E402
from app.settings import Settings  # noqa: E402

app = create_app(Settings.from_environ(os.environ))
