"""A departures board: which flights leave an airport next. As it runs on its author's laptop."""

import json
import logging
from pathlib import Path

from flask import Flask, request

TITLE = "my board (test)"
ORIGIN = "LGA"
DEPARTURES = json.loads(Path("departures.json").read_text())

logging.basicConfig(filename="board.log", level=logging.INFO, format="%(levelname)s %(message)s")

app = Flask(__name__)


@app.get("/health")
def health():
    """Whether the service lives."""
    return {"status": "ok"}


@app.get("/departures")
def departures():
    """The next flights from this airport."""
    return {"title": TITLE, "origin": ORIGIN, "departures": DEPARTURES[ORIGIN]}


@app.after_request
def tell(response):
    """One line for each request."""
    logging.info("%s %s %s", request.method, request.path, response.status_code)
    return response


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=5000, debug=True)
