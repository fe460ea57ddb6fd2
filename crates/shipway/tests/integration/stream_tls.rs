//! A broker that encrypts: whose certificate is trusted, who must show one, and what a stream says that is refused.

use serde_json::{Value as Json, json};
use shipway_testkit::{Authority, Kafka, Server, Signed, TempData};

use crate::{
    stream_world::{Broker, configured, equals_the_oracle, producer, send, streams_become, taken_in},
    world::{self, BINARY},
};

const TOPIC: &str = "orders";

/// One section for each way to reach the broker.
fn brokers(kafka: &Kafka, trusted: &Authority, other: &Authority) -> String {
    let (encrypted, login) = (kafka.encrypted_bootstrap(), kafka.login_bootstrap());
    let ours = trusted.signs("server");
    // Signed by somebody whom the broker does not know.
    let stranger = other.signs("stranger");
    let ca = |authority: &Authority| format!("ca = {:?}\n", authority.certificate());
    let certificate =
        |signed: &Signed| format!("certificate = {:?}\nkey = {:?}\n", signed.certificate, signed.key);
    let section = |name: &str, bootstrap: &str, more: &[String]| {
        format!("[brokers.{name}]\nbootstrap = \"{bootstrap}\"\n{}", more.concat())
    };
    let ssl = "security = \"ssl\"\n".to_owned();
    let sasl = format!(
        "security = \"sasl_ssl\"\nmechanism = \"SCRAM-SHA-512\"\nusername = \"{}\"\npassword = \"{}\"\n",
        Kafka::USERNAME,
        Kafka::PASSWORD
    );
    let by_name = encrypted.replace("127.0.0.1", "localhost");
    [
        section("both_show_theirs", &encrypted, &[ssl.clone(), ca(trusted), certificate(&ours)]),
        section("with_a_login", &login, &[sasl.clone(), ca(trusted)]),
        section("of_a_wrong_authority", &encrypted, &[ssl.clone(), ca(other), certificate(&ours)]),
        section("with_a_login_and_a_wrong_authority", &login, &[sasl, ca(other)]),
        section("under_another_name", &by_name, &[ssl.clone(), ca(trusted), certificate(&ours)]),
        section("without_a_certificate", &encrypted, &[ssl.clone(), ca(trusted)]),
        section("with_a_strangers_certificate", &encrypted, &[ssl, ca(trusted), certificate(&stranger)]),
        section("without_encryption", &encrypted, &[]),
    ]
    .concat()
}

/// The small world with its orders by way of one broker, and a source beside it for each of the others.
async fn apply(server: &Server, orders_by: &str, others: &[&str]) {
    let stream = |broker: &str| json!({ "broker": broker, "topic": TOPIC, "format": "json" });
    let source = |broker: &&str| {
        let columns = "{ order_id: text, ordered_at: timestamp }";
        let stream = stream(broker);
        format!(
            "---\nkind: source\nname: {broker}\nevent_time: ordered_at\nevent_id: order_id\ncolumns: {columns}\nstream: {stream}\n"
        )
    };
    let stream = format!("event_id: order_id\nstream: {}\n", stream(orders_by));
    let world = world::DEFINITIONS.replacen("event_id: order_id\n", &stream, 1);
    let text = world + &others.iter().map(source).collect::<String>();
    let body = json!({ "files": [{ "path": "world.yaml", "text": text }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_reads_from_a_broker_whose_certificate_it_trusts_and_from_no_other() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let kafka = Broker::own_from(Kafka::start_encrypted(&trusted)).await;
    kafka.create_topic(TOPIC, 2).await;
    let orders = world::orders(200, 31);
    let producer = producer(&kafka).await;
    for order in &orders {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    let settings = TempData::new();
    let configuration = configured(&settings, &brokers(&kafka, &trusted, &other));
    let server = Server::start_in(BINARY, TempData::new(), configuration).await;
    let not_ours = ["of_a_wrong_authority", "with_a_login_and_a_wrong_authority", "under_another_name"];
    let not_theirs = ["without_a_certificate", "with_a_strangers_certificate"];
    let others = [&not_ours[..], &not_theirs, &["with_a_login", "without_encryption"]].concat();
    apply(&server, "both_show_theirs", &others).await;

    for broker in ["both_show_theirs", "with_a_login"] {
        let status = becomes(&server, broker, "read", |status| taken_in(status) == 200).await;
        assert_eq!(
            (&status["state"], &status["counts"]["events"]),
            (&json!("reading"), &json!(200)),
            "{status}"
        );
    }
    equals_the_oracle(&server, &orders).await;
    let refused = async |broker: &str| {
        let status = becomes(&server, broker, "refused", |status| status["state"] == "failing").await;
        assert_eq!(status["counts"]["events"], 0, "{status}");
        assert!(!status.to_string().contains(Kafka::PASSWORD), "{status}");
        status
    };
    for broker in not_ours {
        let status = refused(broker).await;
        assert_eq!(status["code"], "broker.login_refused", "{status}");
        assert!(status["error"].as_str().unwrap().contains("certificate verify failed"), "{status}");
    }
    for broker in not_theirs {
        // The broker says only what is wrong with ours, and hangs up.
        let status = refused(broker).await;
        let error = status["error"].as_str().unwrap();
        assert!(error.contains("alert") && error.contains("certificate"), "{status}");
    }
    assert_eq!(refused("without_encryption").await["code"], "broker.unreachable");
}

/// Waits until the stream by way of `broker` is so, and says how it is then.
async fn becomes(server: &Server, broker: &str, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
    streams_become(server, &format!("{broker}: {what}"), |streams| {
        streams.iter().find(|stream| stream["broker"] == broker).filter(|stream| is_so(stream)).cloned()
    })
    .await
}
