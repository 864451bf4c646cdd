"""Invented bookings, attacks on tables, data contracts, and the trials that watch a student's code."""

from __future__ import annotations

import hashlib
import hmac

import pandas as pd
import pytest

from course import bookings, data_contracts, privacy_attacks
from course.checks import CheckFailed
from course.checks.core import processes
from course.checks.privacy import lineage
from course.checks.privacy.erasure import Folder, is_gone, others_are_there
from course.checks.privacy.trials import trials
from course.sandboxed.privacy_trials import name_of

DAY = pd.Timestamp("2013-12-01")


@pytest.fixture
def ship(tmp_path, monkeypatch, warm_workers):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    yield lambda name, text: (tmp_path / name).write_text(text)
    processes.end_all()


def test_bookings_follow_from_their_seed_and_lead_to_nobody_real():
    table = bookings.bookings(5, travellers=80)
    pd.testing.assert_frame_equal(table, bookings.bookings(5, travellers=80))
    assert list(table) == bookings.COLUMNS
    assert not table.duplicated(["booking", "version"]).any()
    assert table["email"].map(bookings.plain).str.contains(r"@(?:[a-z]+\.)?example\.(?:org|com|net)$").all()
    assert table["phone"].str.replace(r"\D", "", regex=True).str.contains("55501").all()
    assert not bookings.population(5)["email"].duplicated().any()


def test_hashes_are_guessed_and_keyed_pseudonyms_are_not():
    addresses = bookings.population(1, size=60)["email"].tolist()
    for code in (hashlib.md5, hashlib.sha256, lambda data: hmac.new(b"secret", data, "sha256")):
        assert privacy_attacks.guess([code(one.encode()).hexdigest()[:16] for one in addresses], addresses) == 1.0
    assert privacy_attacks.guess([name_of(one, "a key nobody knows") for one in addresses], addresses) == 0.0


def test_notes_orders_and_crowds_are_attacked():
    notes = ["call (212) 555-0142", "mail: ANNA.K7 (at) example.org", "Kato called", "gate B12"]
    assert privacy_attacks.phone_in(notes, ["212"]) == 0.25
    assert privacy_attacks.mail_in(notes, ["anna.k7@example.org"]) == 0.25
    assert privacy_attacks.name_in(notes, ["Kato"]) == 0.25
    assert privacy_attacks.by_order({"a": "1", "b": "2", "c": "3"}) == pytest.approx(1.0)
    assert privacy_attacks.by_position(["a", "b"], ["a", "c"]) == 0.5
    table = pd.DataFrame({"band": ["30", "30", None], "area": ["1", "1", None], "who": ["a", "a", "b"]})
    assert privacy_attacks.few(table, ["band", "area"], "who", k=2) == pytest.approx(2 / 3)


def test_ages_are_counted_on_the_day():
    born = pd.Series(pd.to_datetime(["1983-12-01", "1983-12-02"]))
    assert privacy_attacks.age_bands(born, DAY).tolist() == ["30-39", "20-29"]


def test_a_contract_notices_what_it_promised():
    product = {
        "owner": {"team": "a", "contact": "a@example.org"},
        "consumers": ["b"],
        "purpose": "model",
        "retention_days": 30,
        "fresh_within_hours": 5,
        "columns": {"date": {"type": "date"}, "bags": {"type": "whole number", "min": 0}},
    }
    contract = {"products": {"x": product}}
    assert data_contracts.problems(contract) == []
    table = pd.DataFrame({"date": [DAY], "bags": [1]})
    found = [data_contracts.breaches(contract, "x", {"x": made}, DAY, DAY) for made in (table, table.assign(bags=-1))]
    assert found == [[], ["bags is below 0"]]
    late = data_contracts.breaches(contract, "x", {"x": table}, DAY - pd.Timedelta("6h"), DAY)
    assert len(late) == 1
    assert data_contracts.problems({"products": {"x": {**product, "columns": {"date": {"type": "day"}}}}})


def test_a_folder_knows_who_is_left():
    table = bookings.bookings(2, travellers=40)
    folder = Folder(bookings.tables(table, lambda email, purpose: name_of(email, purpose)), ["model", "insight"])
    email = bookings.plain(table["email"].iloc[0])
    after = folder.after(email).tables
    is_gone(after, folder, email)
    others_are_there(after, folder, email)
    with pytest.raises(CheckFailed, match="still have an address"):
        is_gone(folder.tables, folder, email)
    with pytest.raises(CheckFailed, match="rows of other people"):
        others_are_there({place: part.iloc[1:] for place, part in after.items()}, folder, email)


def test_the_files_that_a_pipeline_opens_are_seen(ship):
    pytest.importorskip("openlineage.client")
    ship("lineage.py", "import pandas as pd\ndef run(folder, steps, client):\n    for name, step in steps:\n"
         "        step(lambda path: pd.read_parquet(folder / path),\n"
         "             lambda table, path: table.to_parquet(folder / path))\n")  # fmt: skip
    trial = trials("lineage.py")
    trial.company("a", {"x/in.parquet": pd.DataFrame({"a": [1]})}, {"y/README": ""})
    ran = trial.pipeline("a", [{"name": "one", "reads": ["x/in.parquet"], "writes": ["y/out.parquet"]}])
    assert ran.opened == [{"name": "one", "reads": ["x/in.parquet"], "writes": ["y/out.parquet"]}]
    assert ran.raised is None
    with pytest.raises(CheckFailed, match="no event has the job one"):
        lineage.agrees(ran)


def test_views_run_without_files_and_within_bounds(ship):
    pytest.importorskip("duckdb")
    table = {"bookings": pd.DataFrame({"a": [1, 2]})}
    assert trials().views("CREATE VIEW v AS FROM bookings", ["v"], table, {})["v"]["a"].tolist() == [1, 2]
    with pytest.raises(CheckFailed, match="cannot be run"):
        trials().views("CREATE VIEW v AS SELECT * FROM read_text('/etc/hostname')", ["v"], table, {})
