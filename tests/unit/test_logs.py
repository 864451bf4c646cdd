"""course.checks.http.logs: lines of a service's log, which may take a moment to come through."""

from __future__ import annotations

from course.checks.http.logs import lines_about


class Served:
    """A service whose log grows each time that it is read."""

    def __init__(self, *logs: str) -> None:
        self._logs = list(logs)

    @property
    def logs(self) -> str:
        return self._logs.pop(0) if len(self._logs) > 1 else self._logs[0]


def test_a_line_that_comes_late_is_waited_for():
    logged, lines = lines_about(Served("", "starting", '"GET /departures" 200'), "/departures", "GET", "200")
    assert logged
    assert lines == ['"GET /departures" 200']


def test_words_must_stand_in_one_line_and_lines_about_the_path_are_returned():
    log = '"GET /arrivals" 200\n"POST /departures" 404'
    assert lines_about(Served(log), "/departures", "GET", seconds=0) == (False, ['"POST /departures" 404'])
