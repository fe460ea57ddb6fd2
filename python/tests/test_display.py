"""Notebooks: everything that is answered shows itself as a table, and nothing of the data becomes markup."""

from __future__ import annotations

import html.parser
import re

import pyarrow as pa
from shipway import Definitions, Entity, Plan, display


class Checker(html.parser.HTMLParser):
    """Fails on tags that do not close, and collects what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert checker.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "div"}
    return checker


def test_what_is_answered_shows_itself(deployed):
    training = deployed.training_set("fraud", "asked", time="asked_at")
    assert "not built yet" in read(training._repr_html_()).text
    training.to_arrow()
    answers = {
        "user_spending__count_7d": deployed.read("fraud", {"user_id": "ada", "basket_size": 1}),
        "eve": training,
        "prediction": deployed.predict("fraud", {"user_id": "ada", "basket_size": 1}),
        "all equal": deployed.verify("fraud"),
        "purchases": deployed.status(),
        "nothing to do": deployed.plan(_shop()),
        "created": deployed.plan(Definitions(Entity("shop", keys={"id": "int"}))),
        "refused because": deployed.push("purchases", [{"purchase_id": "x"}]),
        "fraud": _shop(),
        "keys compared": deployed.rebuild_view("user_spending"),
        "table version": training.to_table("kept_by_display"),
        "rows loaded": deployed.load("shown", pa.table({"n": [1, 2]})),
        "no features": deployed.features("of this nobody spoke"),
    }
    for word, answered in answers.items():
        assert word in read(answered._repr_html_()).text, word
        assert repr(answered)


def _shop() -> Definitions:
    from conftest import shop

    return shop()


def test_data_is_text_and_never_markup():
    shown = display.table(["<a>"], [["<script>alert(1)</script>"]], caption="<b>", note="</div>")
    assert read(shown).text.count("<") == 5


def test_a_plan_says_what_it_costs_and_whom_it_affects():
    rebuild = {"rows": 1200, "files": 2, "bytes": 2048, "seconds": 2.5, "rows_per_second": 480.0, "measured_builds": 3}
    fields = [
        {"field": "owner", "before": None, "after": "ada"},
        {"field": "features of w", "before": "a, b", "after": "a, c"},
        {"field": "column order", "before": "a, b", "after": "a, c"},
    ]
    change = {
        "kind": "view", "name": "v", "action": "changed", "before": "sha256:aa", "after": "sha256:bb", "fields": fields,
        "consequences": ["c"], "rebuild": rebuild,
        "consumers": [
            {"kind": "service", "name": "s", "effect": "gets a new version"},
            {"kind": "model", "name": "m", "version": 3, "aliases": ["champion"], "effect": "keeps its version"},
        ],
        "personal": [{"name": "v:age", "pii": "sensitive"}], "warnings": ["look"],
    }  # fmt: skip
    kept = [{"kind": "entity", "name": "e"}]
    plan = Plan.of({"changes": [change], "unchanged": [], "kept": kept, "cost": {"rows": 1200, "seconds": 2.5}})
    assert str(plan).splitlines() == [
        "~ view v  aa → bb",
        "    owner: - → ada",
        "    features of w: b → c",
        "    c",
        "    build: 1,200 rows, 2.0 KiB in 2 files, about 2 s (480 rows/s, measured over 3 builds)",
        "    sensitive data: v:age",
        "    touches:",
        "      service s gets a new version",
        "      model m version 3 (champion) keeps its version",
        "    warning: look",
        "= entity e is not in these definitions and stays; prune=True removes it",
    ]
    text = read(plan._repr_html_()).text
    for words in ("gets a new version", "1,200 rows of history to read, about 2 s", "v:age is sensitive", "warning: look"):
        assert words in text


def test_colours_come_from_the_notebook():
    colours = re.findall(r"(?:^|[;\"])(?:color|background):([^;\"]+)", display.table(["a"], [[1]]))
    assert set(colours) == {"inherit", "transparent"}


def test_a_long_answer_is_cut_and_says_so():
    assert "980 more rows" in read(display.table(["a"], ([n] for n in range(1000)))).text
    assert "95 more rows" in read(display.table(["a"], [[n] for n in range(5)], total=100)).text


def test_nothing_is_said_and_a_line_stays_a_line():
    assert "no rows" in read(display.table(["a"], [])).text
    shown = display.table(["a"], [["one\ntwo"]])
    assert "white-space:pre-line" in shown and "one\ntwo" in read(shown).text


def test_cells_are_short():
    assert [display.cell(value) for value in (None, 0.1 + 0.2, True, float("nan"), 7)] == [
        "null",
        "0.3",
        "yes",
        "nan",
        "7",
    ]
