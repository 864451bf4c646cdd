"""The page on which a person asks about a flight: a form, and an answer that says how unsure it is."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request

NEW_YORK = ZoneInfo("America/New_York")
FIELDS = {
    "carrier": "Choose an airline",
    "origin": "Choose the airport from which you leave",
    "dest": "Choose the airport to which you go",
    "departure": "Enter the day and time of departure",
    "minutes": "Enter how long the flight takes, in minutes: 20 to 1200",
}


def create_page(
    ask: Callable[[dict], tuple[int, dict]], choices: dict[str, Any], metrics: dict[str, Any]
) -> Blueprint:
    """The page, at "/".

    Args:
        ask: asks the service about one flight; gives the status and what was answered.
        choices: "carriers", "origins" and "dests" with their names by code, and "miles" by "EWR-ORD".
        metrics: metrics.json of the artifact, of which it tells the ROC AUC.
    """
    page = Blueprint("page", __name__, template_folder="templates")

    @page.route("/", methods=["GET", "POST"])
    def ask_about_a_flight():
        form = {name: request.form.get(name, "").strip() for name in FIELDS}
        errors, result = {}, None
        if request.method == "POST":
            flight, errors = read_flight(form, choices)
            if not errors:
                status, answer = ask(flight)
                if status == 200:
                    result = {"of_100": round(100 * answer["probability"]), "warn": answer["warn"]}
                else:
                    errors = {"form": "The service cannot answer this now. Please try again later"}
        auc = metrics.get("validation", {}).get("roc_auc")
        page_for = {"form": form, "errors": errors, "result": result, "choices": choices, "auc": auc}
        return render_template("ask.html", **page_for), 422 if errors else 200

    return page


def read_flight(form: dict[str, str], choices: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What a person typed, as the service takes it, and what is wrong with it, by field."""
    errors = {}
    for name, known in {"carrier": "carriers", "origin": "origins", "dest": "dests"}.items():
        if form[name] not in choices[known]:
            errors[name] = FIELDS[name]
    try:
        departure = datetime.fromisoformat(form["departure"]).replace(tzinfo=NEW_YORK)
    except ValueError:
        errors["departure"] = FIELDS["departure"]
    minutes = int(form["minutes"]) if form["minutes"].isascii() and form["minutes"].isdigit() else 0
    if not 20 <= minutes <= 1200:
        errors["minutes"] = FIELDS["minutes"]
    miles = choices["miles"].get(f"{form['origin']}-{form['dest']}")
    if not miles and not {"origin", "dest"} & set(errors):
        errors["dest"] = "Choose another destination: nobody flies there from this airport"
    if errors:
        return {}, {name: errors[name] for name in FIELDS if name in errors}
    return {
        "carrier": form["carrier"],
        "origin": form["origin"],
        "dest": form["dest"],
        "distance": miles,
        "planned_departure": departure.isoformat(),
        "planned_arrival": (departure.astimezone(ZoneInfo("UTC")) + timedelta(minutes=minutes)).isoformat(),
    }, {}
