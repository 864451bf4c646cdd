"""What a WSGI server runs: `gunicorn wsgi:app`."""

import os
from pathlib import Path

from api import create_app

app = create_app(Path(os.environ.get("LATE_FLIGHTS_ARTIFACT", Path(__file__).with_name("artifact"))))
