//! The gRPC service through its generated client, over the router of the server.

use std::sync::Arc;

use axum::Router;
use serde_json::json;
use shipway_features::grpc::v1::{
    Column, Freshness, List, PushRequest, ReadRequest, Value, feature_service_client::FeatureServiceClient,
    value::Kind,
};
use shipway_web::{Authentication, Guard, Token};
use tonic::{Code, Request, Status};

use crate::world::{DAY, DEFINITIONS, World, sale};

const NOON: i64 = 90 * DAY;
const SECRET: &str = "a secret of good length";

fn client(world: &World, guard: Guard) -> FeatureServiceClient<Router> {
    let routes = shipway_features::routes(world.features().clone());
    FeatureServiceClient::new(routes.into_router(Arc::new(guard)))
}

fn open(world: &World) -> FeatureServiceClient<Router> {
    client(world, Guard::open_on_loopback())
}

fn column(name: &str, values: impl IntoIterator<Item = Kind>) -> Column {
    let values = values.into_iter().map(|kind| Value { kind: Some(kind) });
    Column { name: name.to_owned(), values: values.collect(), r#type: String::new() }
}

fn shops(count: usize) -> Vec<Column> {
    vec![
        column("country", vec![Kind::Text("nl".into()); count]),
        column("number", (1..=count as i64).map(Kind::Int)),
        column("basket", vec![Kind::Int(3); count]),
    ]
}

fn question(columns: Vec<Column>) -> ReadRequest {
    ReadRequest { service: "shop_features".into(), columns, at_us: Some(NOON + 1), ..ReadRequest::default() }
}

fn metadata(status: &Status, name: &str) -> String {
    status.metadata().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

#[test]
fn events_are_pushed_and_their_features_read() {
    let world = World::new(DEFINITIONS);
    let mut client = open(&world);
    let events = PushRequest {
        source: "sales".into(),
        columns: vec![
            column("sale_id", ["a", "b", "c"].map(|id| Kind::Text(id.into()))),
            column("sold_at", [NOON, NOON, NOON].map(Kind::TimestampUs)),
            column("country", ["nl", "nl", "nl"].map(|country| Kind::Text(country.into()))),
            column("number", [1, 1, 2].map(Kind::Int)),
            column("amount", [Kind::Float(0.5), Kind::Int(2), Kind::Text("much".into())]),
        ],
    };
    let pushed = world.block_on(client.push(events)).unwrap().into_inner();
    assert_eq!((pushed.acknowledged, pushed.refused.len()), (2, 1));
    assert_eq!(pushed.refused[0].index, 2);
    assert!(pushed.refused[0].reason.starts_with("column amount: expected float"), "{pushed:?}");

    let asked = ReadRequest { token: Some(pushed.token), ..question(shops(2)) };
    let read = world.block_on(client.read(asked)).unwrap().into_inner();
    let values = |name: &str| {
        let column = read.columns.iter().find(|column| column.name == name).unwrap();
        column.values.iter().map(|value| value.kind.clone()).collect::<Vec<_>>()
    };
    assert_eq!(values("shop_sales__amount_sum_1h"), [Some(Kind::Float(2.5)), None]);
    assert_eq!(values("shop_sales__count_1h"), [Some(Kind::Int(2)), Some(Kind::Int(0))]);
    assert_eq!(values("basket"), [Some(Kind::Int(3)), Some(Kind::Int(3))]);
    let fresh = Freshness { event_time_us: Some(NOON), age_us: Some(1), fresh: true, ..Freshness::default() };
    assert_eq!(read.views[0].rows[0], fresh);
    assert_eq!(read.views[0].rows[1].event_time_us, None);
    let type_of = |name: &str| &read.columns.iter().find(|column| column.name == name).unwrap().r#type;
    assert_eq!(type_of("shop_sales__amount_sum_1h"), "float");
    assert_eq!(type_of("shop_sales__tags_last_1h"), "text", "also where every value is null");
    assert_eq!((read.service.as_str(), read.at_us), ("shop_features", NOON + 1));
    assert!(read.watermarks["sales"] > 0);
}

#[test]
fn a_decimal_goes_and_comes_as_text_and_a_float_is_none() {
    let world = World::new(crate::decimals::DEFINITIONS);
    let mut client = open(&world);
    let price = |kind: Kind| PushRequest {
        source: "orders".into(),
        columns: vec![
            column("id", [Kind::Text("a".into())]),
            column("at", [Kind::TimestampUs(NOON)]),
            column("since", [Kind::TimestampUs(NOON)]),
            column("rate", [Kind::Text("0.19".into())]),
            column("price", [kind]),
        ],
    };
    let refused = world.block_on(client.push(price(Kind::Float(0.1)))).unwrap().into_inner().refused;
    assert_eq!(
        refused[0].reason,
        "column price: expected decimal(38,2), got 0.1: a float may lack its digits, send text"
    );
    let large = "123456789012345678901234567890.12";
    let pushed = world.block_on(client.push(price(Kind::Text(large.into())))).unwrap().into_inner();
    assert_eq!(pushed.refused, []);

    let asked = ReadRequest {
        service: "tariffs".into(),
        columns: vec![
            column("rate", [Kind::Text("0.190".into())]),
            column("since", [Kind::TimestampUs(NOON)]),
            column("offer", [Kind::Int(7)]),
        ],
        at_us: Some(NOON + 1),
        token: Some(pushed.token),
        ..ReadRequest::default()
    };
    let read = world.block_on(client.read(asked)).unwrap().into_inner();
    let cell = |name: &str| {
        let column = read.columns.iter().find(|column| column.name == name).unwrap();
        (column.r#type.as_str(), column.values[0].kind.clone())
    };
    assert_eq!(cell("tariff_orders__price_sum_1h"), ("decimal(38,2)", Some(Kind::Text(large.into()))));
    assert_eq!(cell("offer"), ("decimal(10,2)", Some(Kind::Text("7.00".into()))));
}

#[test]
fn a_key_may_be_a_list_of_entities_and_what_depends_on_it_comes_as_one() {
    let world = World::new(DEFINITIONS);
    let mut other = sale("b", NOON, 2.0);
    other["number"] = 2.into();
    let token = world.ingests("sales", &[sale("a", NOON, 1.5), other]).token;
    let list = |numbers: &[i64]| {
        let values = numbers.iter().map(|number| Value { kind: Some(Kind::Int(*number)) }).collect();
        Kind::List(List { values })
    };
    let columns = vec![
        column("country", vec![Kind::Text("nl".into()); 2]),
        column("number", [list(&[2, 3, 1]), Kind::Int(1)]),
        column("basket", vec![Kind::Int(3); 2]),
    ];
    let asked = ReadRequest { token: Some(token), ..question(columns) };
    let uneven = ReadRequest {
        columns: vec![
            column("country", [list(&[])]),
            column("number", [list(&[1])]),
            column("basket", [Kind::Int(1)]),
        ],
        ..asked.clone()
    };

    let read = world.block_on(open(&world).read(asked)).unwrap().into_inner();

    let count = read.columns.iter().find(|column| column.name == "shop_sales__count_1h").unwrap();
    assert_eq!(count.values[0].kind, Some(list(&[1, 0, 1])));
    assert_eq!(count.values[1].kind, Some(Kind::Int(1)), "one entity, one value");
    assert_eq!(count.r#type, "int", "of one entity's value");
    let basket = read.columns.iter().find(|column| column.name == "basket").unwrap();
    assert_eq!(basket.values[0].kind, Some(Kind::Int(3)));
    let times: Vec<Option<i64>> =
        read.views[0].rows[0].entities.iter().map(|freshness| freshness.event_time_us).collect();
    assert_eq!(times, [Some(NOON), None, Some(NOON)]);
    assert_eq!((read.views[0].rows[1].event_time_us, read.views[0].rows[1].entities.len()), (Some(NOON), 0));

    let status = world.block_on(open(&world).read(uneven)).unwrap_err();
    assert_eq!(status.message(), "row 0: key column number lists 1 entities, country lists 0");
}

#[test]
fn features_can_be_asked_for_by_themselves() {
    let world = World::new(DEFINITIONS);
    let token = world.ingests("sales", &[sale("a", NOON, 1.5)]).token;
    let mut keys = shops(1);
    keys.pop();
    let asked = ReadRequest {
        features: ["shop_last:amount", "shop_sales:count_1h", "shop_last:product"].map(str::to_owned).into(),
        columns: keys.clone(),
        at_us: Some(NOON + 1),
        token: Some(token),
        ..ReadRequest::default()
    };
    let read = world.block_on(open(&world).read(asked.clone())).unwrap().into_inner();
    let columns: Vec<_> =
        read.columns.iter().map(|column| (column.name.as_str(), &column.values[0].kind)).collect();
    assert_eq!(
        columns,
        [
            ("shop_last__amount", &Some(Kind::Float(1.5))),
            ("shop_last__product", &Some(Kind::Text("tea".into()))),
            ("shop_sales__count_1h", &Some(Kind::Int(1))),
        ]
    );
    assert_eq!((read.service.as_str(), read.service_hash.as_str()), ("", ""));

    let refused = |features: &str| {
        let asked = ReadRequest {
            features: vec![features.to_owned()],
            columns: keys.clone(),
            ..ReadRequest::default()
        };
        let status = world.block_on(open(&world).read(asked)).unwrap_err();
        (status.code(), status.message().to_owned())
    };
    assert_eq!(
        refused("shop_lost:amount"),
        (Code::NotFound, "view shop_lost does not exist; did you mean shop_last?".into())
    );
    assert_eq!(
        refused("shop_last:amounts"),
        (Code::NotFound, "feature shop_last:amounts does not exist; did you mean shop_last:amount?".into())
    );
    assert_eq!(refused("amount"), (Code::InvalidArgument, "feature amount: expected view:feature".into()));
    let both = ReadRequest { service: "shop_features".into(), ..asked };
    assert_eq!(world.block_on(open(&world).read(both)).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn refusals_have_the_status_of_their_kind_with_code_and_hint() {
    let world = World::new(DEFINITIONS);
    let mut client = open(&world);
    let mut refused = |asked: ReadRequest| {
        let status = world.block_on(client.read(asked)).unwrap_err();
        (status.code(), metadata(&status, "shipway-code"), status.message().to_owned())
    };
    let unknown = ReadRequest { service: "shop_feature".into(), ..question(shops(1)) };
    assert_eq!(
        refused(unknown),
        (
            Code::NotFound,
            "features.unknown_service".into(),
            "service shop_feature does not exist; did you mean shop_features?".into()
        )
    );
    let invalid =
        |message: &str| (Code::InvalidArgument, "features.invalid_request".to_owned(), message.to_owned());
    let mut wrong = shops(2);
    wrong[1].values[1] = Value { kind: Some(Kind::Text("2".into())) };
    assert_eq!(refused(question(wrong)), invalid("row 1: column number: expected int, got text"));
    let mut uneven = shops(2);
    uneven[2].values.pop();
    assert_eq!(refused(question(uneven)), invalid("column basket has 1 values, country has 2"));
    let mut missing = shops(2);
    missing.remove(1);
    assert_eq!(refused(question(missing)), invalid("the key column number is missing"));
    let many = refused(question(shops(10_001)));
    assert_eq!((many.0, many.1.as_str()), (Code::OutOfRange, "features.too_large"));

    let late = ReadRequest { token: Some("sales@999999".into()), ..question(shops(1)) };
    let limits = shipway_features::Limits {
        token_wait: std::time::Duration::from_millis(20),
        ..crate::world::limits()
    };
    let world = World::with_limits(DEFINITIONS, limits);
    let status = world.block_on(open(&world).read(late)).unwrap_err();
    assert_eq!(
        (status.code(), metadata(&status, "shipway-code").as_str()),
        (Code::Unavailable, "features.not_visible_yet")
    );
    assert_eq!(
        metadata(&status, "shipway-hint"),
        "ask again: the events are durable and will become visible"
    );
}

#[test]
fn each_method_demands_its_permission() {
    let world = World::new(DEFINITIONS);
    world.settles();
    let mut client = client(&world, Guard::new(Authentication::Token(Token::new(SECRET).unwrap())));
    let stranger = world.block_on(client.read(question(shops(1)))).unwrap_err();
    assert_eq!(
        (stranger.code(), metadata(&stranger, "shipway-code").as_str()),
        (Code::Unauthenticated, "web.no_credentials")
    );
    let push = PushRequest { source: "sales".into(), columns: Vec::new() };
    assert_eq!(world.block_on(client.push(push)).unwrap_err().code(), Code::Unauthenticated);
    let mut known = Request::new(question(shops(1)));
    known.metadata_mut().insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
    assert!(world.block_on(client.read(known)).is_ok());

    let routes = shipway_features::routes(world.features().clone());
    let demands: Vec<_> = routes
        .descriptions()
        .filter(|route| route.path.starts_with("/shipway"))
        .map(|route| format!("{} {:?}", route.path, route.permission))
        .collect();
    assert_eq!(
        json!(demands),
        json!([
            "/shipway.features.v1.FeatureService/Read Use",
            "/shipway.features.v1.FeatureService/Push Write"
        ])
    );
}
