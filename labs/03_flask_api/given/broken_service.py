"""How often an airline is late, by hour. Written on a Friday; it works on the machine of its author."""

import pickle
from pathlib import Path

from flask import Flask, jsonify, request


def create_app(folder: Path) -> Flask:
    """The service; `folder` holds model.pkl (for each airline the late rates of the 24 hours) and card.md."""
    app = Flask(__name__)
    app.config["DEBUG"] = True

    @app.route("/health")
    def health():
        return jsonify(status="ok")

    @app.route("/predict", methods=["POST"])
    def predict():
        try:
            rates = pickle.loads((folder / "model.pkl").read_bytes())
            question = request.get_json(force=True)
            return jsonify(probability=rates[question["carrier"]][question["hour"]])
        except Exception as error:
            return f"<h1>Something went wrong</h1><pre>{error!r}</pre>"

    @app.route("/train")
    def train():
        rates = pickle.loads((folder / "model.pkl").read_bytes())
        rates = {carrier: [0.24] * 24 for carrier in rates}
        (folder / "model.pkl").write_bytes(pickle.dumps(rates))
        return jsonify(trained=len(rates))

    @app.route("/card")
    def card():
        return jsonify(card=(folder / "card.md").read_text())

    @app.errorhandler(500)
    def failed(error):
        return jsonify(error=error.description["message"], where=str(folder)), 500

    return app


if __name__ == "__main__":
    create_app(Path("model")).run(debug=True)
