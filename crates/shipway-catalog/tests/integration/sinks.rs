//! What a plan says of sinks, and of what they send.

use insta::assert_snapshot;
use shipway_core::Failure as _;

use crate::{BASE, VIEW, apply, catalog, pretty, proposal, pruning};

const SINK: &str = "kind: sink
name: traffic
from: { view: origin_traffic }
to: { broker: main, topic: rows, format: json }
";

#[tokio::test]
async fn a_plan_says_what_a_sink_will_do_and_what_changes() {
    let catalog = catalog().await;
    let view = VIEW.replace("aggregate:", "pii: personal\naggregate:");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[BASE, &view, SINK])).await), @r"
    Created entity origin
    Created source departures
      * it takes events and loads from now on
    Created view origin_traffic
      * its tiles will be built from the history of source departures
      origin_traffic:count_30m is personal
      origin_traffic:count_1h is personal
      origin_traffic:dep_delay_avg_1h is personal
    Created sink traffic
      * it sends a row of each key of view origin_traffic whose events come from now on to topic rows of broker main
      * the topic has to be there: none is made
      origin_traffic:count_30m is personal
      origin_traffic:count_1h is personal
      origin_traffic:dep_delay_avg_1h is personal
    ");
    apply(&catalog, &[BASE, VIEW, SINK]).await;
    let slower = SINK.replace("topic: rows", "topic: others") + "every: 5s\n";
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&slower])).await), @r"
    Changed sink traffic
      to topic: rows => others
      every: - => 5s
      * it goes on where it is
    kept entity origin
    kept source departures
    kept view origin_traffic
    ");
    let of_table =
        SINK.replace("view: origin_traffic", "deployment: late").replace("json", "json, key: [origin]");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&of_table])).await), @r"
    Changed sink traffic
      from: view origin_traffic => deployment late
      to key: - => origin
      * it sends what deployment late predicts from now on to topic rows of broker main
      * the topic has to be there: none is made
    kept entity origin
    kept source departures
    kept view origin_traffic
    ");
}

#[tokio::test]
async fn a_new_version_of_a_view_touches_its_sinks() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SINK]).await;
    let plan = catalog.plan(&proposal(&[&VIEW.replace("[30m, 1h]", "[30m, 2h]")])).await.unwrap();
    let touched: Vec<String> =
        plan.changes[0].consumers.iter().map(|consumer| format!("{consumer} {}", consumer.effect)).collect();
    assert_eq!(touched, ["sink traffic sends rows of this version as soon as its state is there"]);
}

#[tokio::test]
async fn a_view_that_is_sent_stays_until_its_sink_is_dropped() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SINK]).await;
    let refused = catalog.drop("ada", "view", "origin_traffic").await;
    assert_eq!(refused.as_ref().unwrap_err().code(), "catalog.in_use");
    assert_snapshot!(pretty(&refused), @r"
    view origin_traffic is in use by sink traffic
      hint: drop sink traffic first
    ");
    assert_snapshot!(pretty(&catalog.drop("ada", "sink", "traffic").await), @r"
    Removed sink traffic
      * it sends no more, and how far it was is forgotten; what it has sent stays
    ");
    assert!(catalog.drop("ada", "view", "origin_traffic").await.is_ok());
    apply(&catalog, &[VIEW, SINK]).await;
    assert!(catalog.apply("ada", &pruning(&[BASE])).await.is_ok(), "both at once");
    assert!(catalog.current().sinks.is_empty());
}

#[tokio::test]
async fn what_a_sink_could_not_follow_is_refused() {
    let catalog = catalog().await;
    let into = "kind: sink\nname: rows\nfrom: { view: origin_traffic }\nto: { table: traffic_rows }\n";
    apply(&catalog, &[BASE, VIEW, into]).await;
    let latest =
        "kind: view\nname: origin_traffic\nentity: origin\nsource: departures\nlatest: [origin, gate]\n";
    let refused = catalog.plan(&proposal(&[latest])).await;
    assert_eq!(refused.as_ref().unwrap_err().code(), "catalog.change_refused");
    assert_snapshot!(refused.unwrap_err(), @"view origin_traffic: sink rows could not send it: feature origin of view origin_traffic has the name of a key (a row has a column for each; rename the feature, or drop the sink first)");
    let source = BASE.split_once("---\n").unwrap().1.replace("name: departures", "name: traffic_rows");
    let refused = catalog.plan(&proposal(&[&source])).await.unwrap_err();
    assert_snapshot!(refused, @"source traffic_rows: its table is filled by sink rows (give the source another name, or have the sink fill another table)");
}
