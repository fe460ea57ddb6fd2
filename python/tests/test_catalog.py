"""What is known about features: written by objects, read back from the catalog, and what a plan and a drop say."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_binary import Server

import shipway
from shipway import Aggregate, Definitions, Deprecation, Entity, Feature, Freshness, Service, Source, View
from shipway.errors import Conflict, InvalidRequest, NotFound


@pytest.fixture
def fresh(binary: str, tmp_path: Path):
    started = Server(binary, tmp_path / "data", tmp_path / "server.log")
    with shipway.Client(started.url) as client:
        yield client
    started.stop()


COLUMNS = {"id": "text", "at": "timestamp", "user_id": "text", "amount": "float", "email": "text"}


def world(**more: object) -> Definitions:
    """A source, two views and a service; `more` goes to the latest view."""
    user = Entity("user", keys={"user_id": "text"}, tags=["people"])
    payments = Source("payments", columns=COLUMNS, event_time="at", event_id="id", retention="36500d", tags=["raw"])
    spending = View(
        "spending",
        entity=user,
        source=payments,
        aggregate=[Aggregate("amount", operations=["sum", "max"], windows=["1h"])],
        owner="payments",
        tags=["money"],
        features={"amount_max_1h": Feature(deprecated=Deprecation("too short", since="2026-01-31", use="amount_sum_1h"))},
    )
    profile = View("profile", entity=user, source=payments, latest=["email", "amount"], ttl="1d", **more)  # type: ignore[arg-type]
    return Definitions(user, payments, spending, profile, Service("fraud", views=[spending, profile], tags=["online"]))


def test_metadata_written_by_objects_come_back_from_the_catalog(fresh):
    described = world(
        pii="personal",
        description="who it is",
        features={"amount": Feature(pii="none", owner="ada", ttl="2h", freshness=Freshness("5m", "refuse"))},
    )
    fresh.apply(described)

    amount, email = sorted(fresh.features(view="profile"), key=lambda feature: feature.name)
    assert (amount.owner, amount.pii, amount.ttl) == ("ada", "none", "2h")
    assert amount.freshness == Freshness("5m", "refuse")
    assert (email.name, email.pii, email.ttl, email.description) == ("profile:email", "personal", "1d", "who it is")
    assert email.services == ("fraud",)
    assert fresh.features(deprecated=True)[0].deprecated == Deprecation("too short", "2026-01-31", "amount_sum_1h")
    assert fresh.features("AMOUNT", tag="money").names == ["spending:amount_sum_1h", "spending:amount_max_1h"]
    assert fresh.features(owner="nobody").names == []
    assert "profile:email" in fresh.features()._repr_html_()
    assert not fresh.plan(Definitions.from_yaml(described.to_yaml())), "the same text changes nothing"


def test_metadata_make_no_new_version_and_a_ttl_does(fresh):
    fresh.apply(world())
    words = fresh.plan(world(pii="sensitive", features={"amount": {"owner": "ada"}})).changes
    assert [(change.name, change.before == change.after) for change in words] == [("profile", True)]
    assert words[0].personal == {"profile:email": "sensitive", "profile:amount": "sensitive"}
    tighter = fresh.plan(world(features={"amount": {"ttl": "1h"}})).changes
    assert [(change.name, change.before == change.after) for change in tighter] == [("profile", False), ("fraud", False)]
    with pytest.raises(InvalidRequest, match="longer than the view's"):
        fresh.plan(world(features={"amount": {"ttl": "2d"}}))


def test_a_plan_tells_cost_consumers_and_warnings(fresh):
    fresh.apply(world(), wait=True)
    rows = [{"id": str(n), "at": "2026-01-05T10:00:00Z", "user_id": "ada", "amount": 1.0, "email": "a@b"} for n in range(50)]
    fresh.load("payments", shipway.frames.rows_to_table(rows, "at"))
    plan = fresh.plan(world(features={"amount": {"ttl": "1h"}}))
    profile, fraud = plan.changes
    assert profile.rebuild is not None and (profile.rebuild.rows, plan.rows) == (50, 50)
    assert [(consumer.kind, consumer.name) for consumer in profile.consumers] == [("service", "fraud")]
    assert fraud.warnings == (
        "it takes spending:amount_max_1h, which is deprecated since 2026-01-31: too short; use amount_sum_1h",
    )
    assert "build: 50 rows" in str(plan) and "touches:\n      service fraud gets a new version" in str(plan)
    shown = plan._repr_html_()
    assert "50 rows" in shown and "deprecated" in shown


def test_a_drop_is_refused_while_something_uses_it_and_tells_what_it_leads_to(fresh):
    fresh.apply(world())
    with pytest.raises(Conflict) as caught:
        fresh.drop("view", "spending")
    assert caught.value.code == "catalog.in_use"
    assert caught.value.errors[0]["consumers"][0]["name"] == "fraud"
    dry = fresh.drop("service", "fraud", dry_run=True)
    assert fresh.features(service="fraud").names
    assert fresh.drop("service", "fraud") == dry
    assert fresh.drop("view", "spending").changes[0].consequences
    with pytest.raises(NotFound):
        fresh.drop("view", "spending")
    assert fresh.features(view="spending").names == []


def test_a_plan_and_a_drop_reach_down_to_the_model_and_its_deployment(deployed):
    from conftest import shop

    wider = Definitions(
        View(
            "user_spending",
            entity="user",
            source="purchases",
            aggregate=[Aggregate("amount", operations=["sum"], windows=["2h"])],
        ),
        shop()["service:fraud"],
    )
    consumers = {str(consumer) for consumer in deployed.plan(wider).changes[0].consumers}
    assert any(text.startswith("service fraud gets a new version") for text in consumers)
    assert any(text.startswith("model fraud version 1 (champion) keeps version") for text in consumers)
    assert any(text.startswith("deployment fraud serves fraud version 1 and keeps version") for text in consumers)

    with pytest.raises(Conflict) as caught:
        deployed.drop("service", "fraud")
    users = {(consumer["kind"], consumer["name"]) for consumer in caught.value.errors[0]["consumers"]}
    assert users == {("model", "fraud"), ("deployment", "fraud")}
    assert "shipway deploy fraud --remove" in (caught.value.hint or "")
    assert deployed.features(service="fraud").names, "nothing was changed"
