"""Does the package install a command that prints late rates as JSON, and fails in a way that scripts can use?"""

import json

from course.checks import Project, Question, as_number, expect, fail, fixture, project
from course.checks.python.repositories import tail

question = Question("A command for others", points=6)
SMALL = "origin,carrier,arr_delay\nEWR,UA,20\nEWR,UA,-5\nJFK,B6,15\nJFK,B6,14\nLGA,DL,0\n"


@fixture
def shipped() -> Project:
    """The shipped project; what is wrong with its pyproject.toml is reported elsewhere."""
    return project("late-flights.bundle", helped=True)


def rates(shipped: Project, table: str, *options: str) -> dict[str, float]:
    """What the command prints for a CSV file, as a dictionary."""
    call = ["late-flights", "summary", "flights.csv", *options]
    with question.progress("a clean environment") as step:
        step(f"running {' '.join(call)}")
        done = shipped.run(call, files={"flights.csv": table}, stderr=False)
    if done.returncode == 127:
        fail("there is no command late-flights", hint="is it in [project.scripts] of pyproject.toml, and committed?")
    if not done.ok:
        whole = shipped.run(call, files={"flights.csv": table})
        hint = "run the command on a file of your own, as the cell above does"
        fail(f"{' '.join(call)} ended with exit status {done.returncode}", actual=tail(whole.output), hint=hint)
    try:
        printed: dict[str, float] = json.loads(done.output)
    except ValueError:
        hint = "print one JSON object; what you say while working goes to logging"
        output = tail(done.output) or "nothing"
        fail("standard output is not JSON", expected='{"EWR": 0.5, …', actual=output, hint=hint)
    expect(printed, "the JSON").is_instance(dict)
    return printed


def shares(printed: dict[str, float]) -> dict[str, float]:
    """Printed rates as shares; that they are not per cent is asked for once."""
    numbers = {origin: as_number(rate, f"the late rate of {origin}") for origin, rate in printed.items()}
    return {origin: rate / 100 for origin, rate in numbers.items()} if max(numbers.values(), default=0) > 1 else numbers


@question.check(points=2)
def prints_json(shipped: Project) -> None:
    """late-flights summary FILE prints the late rate of each origin, as JSON"""
    expected = {"EWR": 0.5, "JFK": 0.5, "LGA": 0.0}
    printed = rates(shipped, SMALL)
    expect(sorted(printed), "the list of origins").equals(sorted(expected))
    for origin, rate in expected.items():
        expect(printed[origin], f"the late rate of {origin}").is_close(rate, abs=0.01, hint="a share of 0 to 1")


@question.check(points=1)
def names_the_missing_file(shipped: Project) -> None:
    """a file that is not there: exit status 2 and an error that names it, without a traceback"""
    rates(shipped, SMALL)  # a command that always fails says nothing about a file
    done = shipped.run(["late-flights", "summary", "nowhere.csv"])
    if "Traceback" in done.output:
        fail("it shows a traceback", actual=done.output.strip().splitlines()[-1], hint="catch FileNotFoundError")
    expect(done.returncode, "the exit status").equals(2)
    expect(done.output, "what the command says").contains("nowhere.csv")


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="a flight that never arrived is neither late nor on time")
def counts_flights_that_arrived(shipped: Project) -> None:
    """the rate is right on other data, with flights that never arrived"""
    table = "arr_delay,origin\n100,BOS\n,BOS\n-3,BOS\n15,BOS\n14.5,SFO\n,SFO\n3,SFO\n,SFO\n"
    printed = shares(rates(shipped, table))
    expect(sorted(printed)).equals(["BOS", "SFO"])
    expect(printed["BOS"]).is_close(2 / 3, abs=0.01)
    expect(printed["SFO"]).is_close(0.0, abs=0.01)


@question.check(points=1, hidden=True, hint="run it with --minutes 5 and with --minutes 60")
def takes_minutes(shipped: Project) -> None:
    """--minutes changes from when a flight is late"""
    printed = shares(rates(shipped, SMALL, "--minutes", "14"))
    expect([printed.get(origin) for origin in ("EWR", "JFK", "LGA")]).is_close([0.5, 1.0, 0.0], abs=0.01)


@question.check(
    points=1,
    hidden=True,
    hint="logging.info goes to standard error once it is set up; count before you leave any flight out",
)
def logs_what_it_read(shipped: Project) -> None:
    """it says on standard error how many flights it read"""
    table = "origin,arr_delay\n" + "EWR,7\n" * 4000 + "EWR,\n" * 321  # a flight that never arrived was read, too
    call = ["sh", "-c", "late-flights summary flights.csv 2>&1 >/dev/null"]
    done = shipped.run(call, files={"flights.csv": table})
    digits = "".join(letter for letter in done.output if letter not in ",._' ")
    expect(digits).contains("4321")


### END HIDDEN TESTS
