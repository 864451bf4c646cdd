"""What the production server runs, `gunicorn production:app`: the service, made reliable, with its page."""

import json
import os
from pathlib import Path

from api import create_app
from asking import ask
from page import create_page
from reliability import make_reliable

HERE = Path(__file__).parent
ARTIFACT = Path(os.environ.get("LATE_FLIGHTS_ARTIFACT", HERE / "artifact"))

app = make_reliable(create_app(ARTIFACT))
choices = json.loads((HERE / "choices.json").read_text(encoding="utf-8"))
metrics = json.loads((ARTIFACT / "metrics.json").read_text(encoding="utf-8"))
app.register_blueprint(create_page(lambda flight: ask(app, flight), choices, metrics))
