"""Definitions as objects: they serialise to the same hashes, say early what is wrong, and carry the whole syntax."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_binary import ROOT, Server

import shipway
from shipway import Aggregate, Definitions, Deprecation, Entity, Feature, Freshness, Gate, Service, Source, View
from shipway.errors import Conflict, InvalidDefinition, InvalidRequest
from shipway.operations import Operation, approx_quantile, histogram, last_k

DEMO = ROOT / "demo" / "definitions"


@pytest.fixture
def fresh(binary: str, tmp_path: Path):
    """A server of its own, for tests that apply what the shop does not have."""
    started = Server(binary, tmp_path / "data", tmp_path / "server.log")
    with shipway.Client(started.url) as client:
        yield started, client
    started.stop()


def everything() -> Definitions:
    """Every field that the syntax has."""
    return Definitions(
        Source(
            "clicks",
            columns={"id": "int", "at": "timestamp", "on": "bool", "tags": "list(text)", "embedding": "list(float)"},
            event_time="at",
            event_id="id",
            max_ahead="1m",
            dedupe="1d",
            retention="2w",
            batch={
                "files": "s3://bucket/clicks/*.parquet", "format": "parquet", "nulls": ["NA", "no"],
                "columns": {"at": "Clicked At"}, "optional": ["tags", "on"], "every": "1h",
            },
            stream=shipway.Stream(
                broker="main", topic="Clicks.v1", start="latest", format="protobuf", unknown_fields="refuse",
                schema='syntax = "proto3";\nmessage Click { int64 id = 1; } // "no": yes\n', message="Click",
                fields={"at": ["clicked.at", "at"], "on": "is_on"}, time_unit={"at": "milliseconds"},
            ),
            description='says "hello": # not a comment',
            owner="null",
            tags=["raw", "on"],
        ),
        Source(
            "orders", columns={"id": "int", "at": "timestamp", "op": "text"}, event_time="at", event_id="id", same_id="replace",
            deleted="op = 'delete'",
        ),
        Source(
            "late_clicks", event_time="at", event_id="id", description="those of the app",
            select='SELECT id, at, c.on AS "on", info.tier\nFROM clicks c LEFT JOIN home info ON info.id = c.id\nWHERE "on" -- not: the web\n',
        ),
        View(
            "click_view",
            entity="user",
            source="clicks",
            keys=["id"],
            enrich=["other_view:count_1h", "home"],
            derive={"is_late": "dep_delay > 15", "n": "'it''s'"},
            where="carrier <> 'HA'",
            aggregate=[
                Aggregate(
                    "n", operations=["avg", last_k(5), "top_k(3)", approx_quantile(0.95), histogram(20)], windows=["1h"]
                ),
                Aggregate("n", operations=["avg"], windows=["lifetime"], by="carrier"),
                Aggregate(
                    "tags", operations=["distinct_count(500)"], windows=["7d"], over="elements", name="tags_seen"
                ),
            ],
            pii="personal",
            freshness={"objective": "1h", "beyond": "null"},
            deprecated=Deprecation("counts twice", since="2026-01-31", use="click_view:n_avg_lifetime"),
            features={
                "n_avg_1h": Feature(
                    description="how late", owner="ops", tags=["a", "b"], pii="none", deprecated="use x", freshness="1h"
                ),
                "n_avg_by_carrier_lifetime": {"pii": "sensitive", "freshness": {"objective": "5m", "beyond": None}},
            },
        ),
        Service(
            "late",
            views=["click_view:n_avg_1h"],
            request={"distance": "float"},
            compute={"r": "n / nullif(distance, 0)"},
        ),
        Gate(
            "g",
            model="Any model",
            alias="champion",
            require=[
                shipway.beats_holder("auc", dataset="october", by=0.01),
                shipway.at_least("f1", 1),
                shipway.at_most("loss", 0.5),
                shipway.own_artifact(),
            ],
        ),
        shipway.Sink("to_topic", view="click_view", to=shipway.Topic(broker="main", topic="Rows.v1", format="avro"), every="5s"),
        shipway.Sink("to_table", view="click_view", to="click_rows", owner="ops", tags=["out"]),
        shipway.Sink(
            "predicted",
            deployment="late",
            to=shipway.Topic(broker="main", topic="predictions", format="json", key=["user", "on"]),
            description="no: yes",
        ),
        shipway.Sink("added", table="predictions__late", to=shipway.Topic(broker="b", topic="t", format="json")),
    )


def test_the_demo_written_by_objects_changes_nothing_after_the_files_were_applied(fresh, tmp_path):
    server, client = fresh
    server.cli("apply", str(DEMO))
    definitions = Definitions.load(DEMO)
    assert len(definitions) == 14
    assert len({definition.kind for definition in definitions}) == 5

    written = tmp_path / "written.yaml"
    definitions.save(written)

    assert server.cli("plan", str(written))["has_changes"] is False
    plan = client.plan(definitions, prune=True)
    assert (plan.has_changes, plan.changes, plan.kept, len(plan.unchanged)) == (False, (), (), 14)
    assert str(plan) == "nothing to do"


def test_the_files_change_nothing_after_the_objects_were_applied(fresh):
    server, client = fresh
    applied = Definitions.load(DEMO).apply(client)
    assert [change.action for change in applied.changes] == ["created"] * 14

    assert server.cli("plan", str(DEMO))["has_changes"] is False


def test_a_chained_view_by_objects_is_the_one_in_yaml(fresh, tmp_path):
    server, client = fresh
    entries = [Aggregate(operations=["count"], windows=["1h"])]
    traffic = View("traffic", entity="origin", source="left", aggregate=entries)
    crowded = View(
        "crowded",
        entity="origin",
        source="left",
        enrich=[traffic["count_1h"]],
        aggregate=[Aggregate("traffic__count_1h", operations=["max"], windows=["7d"])],
    )
    source = Source("left", columns={"at": "timestamp", "origin": "text"}, event_time="at")
    definitions = Definitions(Entity("origin", keys={"origin": "text"}), source, traffic, crowded)
    definitions.apply(client)
    written = tmp_path / "written.yaml"
    written.write_text(
        "kind: view\nname: crowded\nentity: origin\nsource: left\nenrich: [traffic:count_1h]\n"
        "aggregate: [{ column: traffic__count_1h, operations: [max], windows: [7d] }]\n"
    )
    assert server.cli("plan", str(written))["has_changes"] is False

    entries = [Aggregate(operations=["count"], windows=["1h", "2h"])]
    changed = View("traffic", entity="origin", source="left", aggregate=entries)
    plan = client.plan(Definitions(changed, crowded))
    assert {change.name for change in plan.changes} == {"traffic", "crowded"}, "the outer view has a new version"


def test_every_field_survives_the_way_through_yaml():
    definitions = everything()
    text = definitions.to_yaml()
    assert Definitions.from_yaml(text) == definitions
    assert Definitions.from_yaml(text).to_yaml() == text


def test_the_text_means_to_another_yaml_reader_what_it_means_to_this_one():
    import yaml

    documents = list(yaml.safe_load_all(everything().to_yaml()))
    assert documents == [definition.to_dict() for definition in everything()]


def test_words_that_yaml_1_1_takes_for_something_else_are_text():
    text = "kind: source\nname: switches\nevent_time: at\ncolumns: { at: timestamp, on: bool, no: int, y: text }\n"
    source = Definitions.from_yaml(text)["switches"]
    assert list(source.columns) == ["at", "on", "no", "y"]


def test_beyond_null_without_quotes_means_the_word():
    assert Freshness.from_dict({"objective": "1h", "beyond": None}) == Freshness("1h", "null")


def test_prune_removes_what_is_not_there_any_more(fresh):
    _, client = fresh
    client.apply(Definitions.load(DEMO))
    kept = Definitions(definition for definition in Definitions.load(DEMO) if definition.kind != "gate")
    assert client.plan(kept).kept == ("gate late_arrivals_champion",)

    plan = client.plan(kept, prune=True)

    assert [(change.action, change.kind) for change in plan.changes] == [("removed", "gate")]
    assert str(plan).startswith("- gate late_arrivals_champion")


def test_what_only_the_server_can_know_comes_back_with_every_error_and_its_place(fresh):
    _, client = fresh
    view = View(
        "spending", entity="user", source="nowhere", aggregate=[Aggregate(operations=["count"], windows=["1h"])]
    )
    with pytest.raises(InvalidRequest) as caught:
        client.apply(Definitions(view))
    assert caught.value.code == "definitions.invalid"
    assert {error["line"] for error in caught.value.errors} >= {3}
    assert client.plan(Definitions(Entity("user", keys={"id": "int"}))).kept == ()


EXPRESSIONS = """
kind: entity
name: expr_user
keys: { user_id: text }
---
kind: source
name: expr_purchases
event_time: at
columns: { at: timestamp, user_id: text, amount: float, fee: float }
---
kind: view
name: expr_spending
entity: expr_user
source: expr_purchases
where: "net > 0"
derive: { net: "amount - coalesce(fee, 0)", large: "net >= 100" }
aggregate:
  - { column: net, operations: [sum], windows: [7d], by: large }
  - { column: net, operations: [avg], windows: [7d] }
---
kind: service
name: expr_fraud
views: [expr_spending]
request: { basket: float }
compute: { to_usual: "basket / expr_spending__net_avg_7d", known: "to_usual IS NOT NULL" }
"""


def test_expressions_in_objects_are_the_versions_of_expressions_in_yaml(fresh, tmp_path):
    server, client = fresh
    written = tmp_path / "expressions.yaml"
    written.write_text(EXPRESSIONS, encoding="utf-8")
    server.cli("apply", str(written))
    user = Entity("expr_user", keys={"user_id": "text"})
    columns = {"at": "timestamp", "user_id": "text", "amount": "float", "fee": "float"}
    purchases = Source("expr_purchases", columns=columns, event_time="at")
    spending = View(
        "expr_spending",
        entity=user,
        source=purchases,
        where="net > 0",
        derive={"net": "amount - coalesce(fee, 0)", "large": "net >= 100"},
        aggregate=[
            Aggregate("net", operations=["sum"], windows=["7d"], by="large"),
            Aggregate("net", operations=["avg"], windows=["7d"]),
        ],
    )
    compute = {"to_usual": "basket / expr_spending__net_avg_7d", "known": "to_usual IS NOT NULL"}
    fraud = Service("expr_fraud", views=[spending], request={"basket": "float"}, compute=compute)
    plan = client.plan(Definitions(user, purchases, spending, fraud), prune=True)
    assert (plan.has_changes, len(plan.unchanged)) == (False, 4)


def test_a_change_that_cannot_be_made_is_a_conflict(fresh):
    _, client = fresh
    columns = {"at": "timestamp", "n": "int"}
    client.apply(Definitions(Source("s", columns=columns, event_time="at")))
    with pytest.raises(Conflict) as caught:
        client.apply(Definitions(Source("s", columns={**columns, "n": "text"}, event_time="at")))
    assert caught.value.code == "catalog.change_refused"


def source_of(**given) -> Source:
    """A source whose stream is as it should be but for what is given."""
    stream = {"broker": "main", "topic": "clicks", "format": "json"} | given
    return Source("s", columns={"at": "timestamp", "n": "int"}, event_time="at", stream=stream)


def orders_of(**given) -> Source:
    """A source whose events are corrected, as it should be but for what is given."""
    whole = {"columns": {"id": "int", "at": "timestamp"}, "event_time": "at", "event_id": "id", "same_id": "replace", "deleted": "id = 0"}
    return Source("s", **(whole | given))


def sink_of(**given) -> shipway.Sink:
    """A sink that is as it should be but for what is given."""
    topic = shipway.Topic(broker="main", topic="rows", format="json")
    return shipway.Sink("s", **({"view": "v", "to": topic} | given))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Entity("_user", keys={"id": "int"}), "names that start with _ belong to the system"),
        (lambda: Entity("user", keys={"id": "float"}), "identifies nothing"),
        (lambda: Entity("user", keys={}), "no key is given"),
        (lambda: Source("s", columns={"at": "time"}, event_time="at"), "has the type time, which does not exist"),
        (lambda: Source("s", columns={"at": "text"}, event_time="at"), "event_time needs timestamp"),
        (lambda: Source("s", columns={"at": "timestamp"}, event_time="at", dedupe="0s"), "not a length of time"),
        (lambda: orders_of(same_id="last"), "same_id is once or replace, got last"),
        (lambda: orders_of(same_id="once"), "deleted needs same_id='replace'"),
        (lambda: orders_of(event_id=None), "needs an event_id"),
        (lambda: orders_of(dedupe="1d"), "has no dedupe"),
        (lambda: Aggregate("a", operations="avg", windows=["1h"]), "operations is a list"),
        (lambda: Aggregate(operations=["avg"], windows=["1h"]), "operation avg needs a column"),
        (lambda: Aggregate("a", operations=["avg"], windows=["1 hour"]), "window `1 hour`"),
        (lambda: Aggregate("a", operations=["avg"], windows=["1h"], bound=5), "bound belongs to distinct_count"),
        (lambda: Aggregate("a", operations=["avg", "min"], windows=["1h"], name="x"), "names one feature"),
        (lambda: Aggregate("a", operations=["avg"], windows=["1h"], over="all"), "over all does not exist"),
        (lambda: View("v", entity="e", source="s"), "aggregate or latest is missing"),
        (lambda: View("v", entity="e", source="s", latest=["a"], aggregate=[Aggregate("a", operations=["min"], windows=["1h"])]), "not both"),
        (lambda: View("v", entity="e", source="s", latest=["a"], features={"b": Feature()}), "feature b does not exist"),
        (lambda: Freshness("1h", "explode"), "beyond explode does not exist"),
        (lambda: Feature(pii="secret"), "pii secret does not exist"),
        (lambda: View("v", entity="e", source="s", aggregate=[Aggregate("a", operations=["min"], windows=["1h"])], features={"a_min_1h": {"ttl": "1h"}}), "its window is its ttl"),
        (lambda: View("v", entity="e", source="s", latest=["a"], pii="personel"), "did you mean personal?"),
        (lambda: View("v", entity="e", source="s", latest=["a"], deprecated={"since": "2026-01-31"}), "reason is missing"),
        (lambda: View("v", entity="e", source="s", latest=["a"], deprecated=7), "deprecated is a reason or a map"),
        (lambda: Deprecation("old", since="soon"), "write it as 2026-01-31"),
        (lambda: Entity("e", keys={"a": "int"}, tags="x"), "tags is a list"),
        (lambda: Entity("e", keys={"a": "int"}, tags=["x" * 64]), "is too long"),
        (lambda: Service("s", request={"a": "list(int)"}), "only the columns of a source can be lists"),
        (lambda: Source("s", columns={"at": "timestamp"}, event_time="at", batch={"files": "/a/*"}), "does not say what format"),
        (lambda: Source("s", columns={"at": "timestamp"}, event_time="at", batch={"files": "/a.csv", "columns": {"att": "x"}}), "column att of batch"),
        (lambda: Source("s", columns={"at": "timestamp"}, event_time="at", batch={"files": "/a.csv", "optional": ["at"]}), "cannot be optional"),
        (lambda: Source("s", columns={"at": "timestamp"}, event_time="at", batch={"delta": "/a", "format": "csv"}), "format and nulls belong to files only"),
        (lambda: source_of(broker="Main"), "stream: broker `Main` is not a name"),
        (lambda: source_of(topic="a b"), "stream: topic a b cannot be the name of a topic"),
        (lambda: source_of(topic="x" * 250), "cannot be the name of a topic"),
        (lambda: source_of(format=None), "stream: format is missing"),
        (lambda: source_of(format="jsno"), "did you mean json?"),
        (lambda: source_of(start="first"), "start first does not exist"),
        (lambda: source_of(tpoic="a"), "did you mean topic?"),
        (lambda: source_of(schema="{}"), "schema is for avro and protobuf, and the format is json"),
        (lambda: source_of(message="A"), "message is for protobuf, and the format is json"),
        (lambda: source_of(format="protobuf", schema="syntax"), "does not say which message of the schema is sent"),
        (lambda: source_of(format="protobuf", envelope="debezium"), "envelope debezium comes as json or avro"),
        (lambda: source_of(fields={"att": "x"}), "column att of fields in stream is not in columns"),
        (lambda: source_of(fields={"at": []}), "stream: fields is empty"),
        (lambda: source_of(time_unit={"at": "days"}), "time_unit days does not exist"),
        (lambda: source_of(time_unit={"n": "seconds"}), "column n of time_unit is int"),
        (lambda: Aggregate("a", operations=["distinct_count(5)"], windows=["1h"], bound=5), "given twice"),
        (lambda: Service("s"), "views is missing"),
        (lambda: Service("s", views=["A"]), "view `A` is not a name"),
        (lambda: shipway.beats_holder("auc", by=-1), "by is negative"),
        (lambda: Gate("g", model="m", alias="a", require=[{"metric": "auc"}]), "needs one rule"),
        (lambda: Gate("g", model="m", alias="a", require=[]), "require is empty"),
        (lambda: sink_of(view=None), "does not say what is sent"),
        (lambda: sink_of(table="t"), "or more than one thing"),
        (lambda: sink_of(view=None, deployment="d", to="rows"), "would go from one table into table rows"),
        (lambda: sink_of(view=None, table="T"), "table `T` is not the name of a table"),
        (lambda: sink_of(to=7), "to is a Topic or the name of a table"),
        (lambda: sink_of(every="5"), "every `5` is not a length of time"),
        (lambda: sink_of(to=shipway.Topic(broker="b", topic="t", format="json", key=["a"])), "key is for tables and deployments"),
        (lambda: shipway.Topic(broker="b", topic="a b", format="json"), "cannot be the name of a topic"),
        (lambda: shipway.Topic(broker="b", topic="t", format="jsno"), "did you mean json?"),
        (lambda: shipway.Topic(broker="b", topic="t", format="json", key=[]), "key is empty"),
        (lambda: Definitions.from_yaml("kind: sink\nname: s\nfrom: { veiw: v }\nto: { table: t }"), "did you mean view?"),
        (lambda: Definitions.from_yaml("kind: sink\nname: s\nfrom: { view: v }\nto: { table: t, topic: x }"), "to names a table and a topic"),
        (lambda: Definitions(Entity("e", keys={"a": "int"}), Entity("e", keys={"a": "int"})), "is defined twice"),
        (lambda: Definitions.from_yaml("kind: veiw\nname: v"), "did you mean view?"),
        (lambda: Definitions.from_yaml("kind: entity\nname: e\nkey: {}"), "did you mean keys?"),
        (lambda: Definitions.from_yaml("a: 1\nb: [1, 2\nc: }\n", "x.yaml"), "x.yaml:3: not readable as YAML"),
        (lambda: Definitions.from_yaml("kind: entity\nkind: view"), "kind is given twice"),
        (lambda: Definitions.load("/nowhere"), "there is no such file or folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_a_server_is_asked(make, says):
    with pytest.raises(InvalidDefinition) as caught:
        make()
    assert says in str(caught.value)
    assert str(caught.value).startswith("error: ")


@pytest.mark.parametrize(
    ("written", "word"),
    [("avg", "avg"), ("last_k(5)", "last_k_5"), ("approx_quantile(0.5)", "approx_quantile_50"),
     ("approx_quantile(0.999)", "approx_quantile_999"), ("approx_quantile( 0.05 )", "approx_quantile_05"),
     ("distinct_count(500)", "distinct_count"), ("histogram(20)", "histogram_20")],
)  # fmt: skip
def test_an_operation_names_its_feature(written, word):
    assert Operation.parse(written).feature_word == word


@pytest.mark.parametrize(
    "written",
    [
        "last_k",
        "last_k(0)",
        "last_k(1001)",
        "last_k(a)",
        "approx_quantile(0.1234567)",
        "approx_quantile(1)",
        "avg(3)",
        "median",
        "avg)",
        "",
    ],
)
def test_an_operation_that_no_server_takes_is_refused(written):
    with pytest.raises(InvalidDefinition):
        Operation.parse(written)


def test_feature_names_are_those_of_the_server(client, server):
    view = Definitions.load(DEMO)["origin_traffic"]
    shop_view = client._definition("service", "fraud")["views"][0]
    assert shop_view["features"] == [
        "count_1h",
        "count_7d",
        "amount_sum_1h",
        "amount_sum_7d",
        "amount_max_1h",
        "amount_max_7d",
    ]
    assert view.feature_names[:5] == ["count_30m", "count_1h", "count_6h", "count_1d", "dep_delay_avg_30m"]
