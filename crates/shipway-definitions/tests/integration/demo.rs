//! The definitions of the demo are what the issue lists.

use insta::assert_snapshot;
use shipway_definitions::{DefinitionFile, DefinitionSet, Requirement, Rule};

fn demo() -> DefinitionSet {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/definitions");
    let files: Vec<_> = ["entities", "gate", "service", "sources", "views"]
        .into_iter()
        .map(|name| {
            let text = fs_err::read_to_string(format!("{folder}/{name}.yaml")).unwrap();
            DefinitionFile::new(format!("demo/definitions/{name}.yaml"), text)
        })
        .collect();
    DefinitionSet::parse(&files).unwrap()
}

#[test]
fn the_service_of_the_demo_has_its_columns_in_order() {
    let set = demo();
    let service = &set.service("late_arrivals").unwrap().definition;
    let columns: Vec<_> =
        service.columns().iter().map(|column| format!("{} {}", column.name, column.data_type)).collect();
    assert_snapshot!(columns.join("\n"), @r"
    origin_traffic__count_30m int
    origin_traffic__count_1h int
    origin_traffic__count_6h int
    origin_traffic__count_1d int
    origin_traffic__dep_delay_avg_30m float
    origin_traffic__dep_delay_avg_1h float
    origin_traffic__dep_delay_avg_6h float
    origin_traffic__dep_delay_avg_1d float
    origin_traffic__dep_delay_max_30m float
    origin_traffic__dep_delay_max_1h float
    origin_traffic__dep_delay_max_6h float
    origin_traffic__dep_delay_max_1d float
    origin_traffic__dep_delay_stddev_30m float
    origin_traffic__dep_delay_stddev_1h float
    origin_traffic__dep_delay_stddev_6h float
    origin_traffic__dep_delay_stddev_1d float
    carrier_punctuality__count_1d int
    carrier_punctuality__count_7d int
    carrier_punctuality__count_30d int
    carrier_punctuality__arr_delay_avg_1d float
    carrier_punctuality__arr_delay_avg_7d float
    carrier_punctuality__arr_delay_avg_30d float
    carrier_punctuality__arr_delay_min_1d float
    carrier_punctuality__arr_delay_min_7d float
    carrier_punctuality__arr_delay_min_30d float
    carrier_punctuality__arr_delay_max_1d float
    carrier_punctuality__arr_delay_max_7d float
    carrier_punctuality__arr_delay_max_30d float
    plane_legs__count_1d int
    plane_legs__count_7d int
    plane_legs__arr_delay_last_1d float
    plane_legs__dest_last_1d text
    plane_legs__dest_distinct_count_7d int
    route_history__arr_delay_avg_7d float
    route_history__arr_delay_avg_30d float
    route_history__count_30d int
    origin_weather__temp float
    origin_weather__wind_speed float
    origin_weather__precip float
    origin_weather__visib float
    month int
    hour int
    distance float
    ");
    let keys: Vec<_> =
        service.entity_keys.iter().map(|(key, data_type)| format!("{key} {data_type}")).collect();
    assert_snapshot!(keys.join(", "), @"origin text, carrier text, tailnum text, dest text");
}

#[test]
fn the_gate_of_the_demo_asks_for_a_better_score_of_the_same_artifact() {
    let set = demo();
    let gate = &set.gate("late_arrivals_champion").unwrap().definition;
    assert_eq!((gate.model.as_str(), gate.alias.as_str()), ("late_arrivals", "champion"));
    let expected = [
        Requirement::Metric {
            metric: "auc".to_owned(),
            dataset: Some("september_october".to_owned()),
            rule: Rule::BeatsHolder { margin: 0.0 },
        },
        Requirement::OwnArtifact,
    ];
    assert_eq!(gate.requirements, expected);
}
