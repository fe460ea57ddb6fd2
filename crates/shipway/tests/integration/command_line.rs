//! What a person types, sees and gets as an exit code.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use shipway_testkit::{Server, TempData};

use crate::world::{self, BINARY};

pub(crate) struct Typed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

pub(crate) fn shipway(server: &str, arguments: &[&str], input: &str) -> Typed {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .env("SHIPWAY_SERVER", server)
        .env_remove("SHIPWAY_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Typed { code: done.status.code(), out: text(done.stdout), error: text(done.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_exits_2_until_apply_has_been_run() {
    let (server, files) = (Server::start(BINARY).await, TempData::new());
    let path = files.join("world.yaml");
    std::fs::write(&path, world::DEFINITIONS).unwrap();
    let path = path.to_str().unwrap();

    let planned = shipway(&server.url(), &["plan", path], "");
    assert_eq!(planned.code, Some(2), "{}", planned.error);
    assert!(planned.out.contains("+ view shop_orders"), "{}", planned.out);
    assert_eq!(shipway(&server.url(), &["apply", path], "").code, Some(0));
    let again = shipway(&server.url(), &["plan", path], "");
    assert_eq!((again.code, again.out.trim()), (Some(0), "nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_definitions_are_all_reported_and_nothing_is_applied() {
    let (server, files) = (Server::start(BINARY).await, TempData::new());
    let path = files.join("wrong.yaml");
    let wrong = world::DEFINITIONS
        .replace("column: amount", "column: amuont")
        .replace("entity: shop\n", "entity: shpo\n");
    std::fs::write(&path, wrong).unwrap();

    let refused = shipway(&server.url(), &["apply", path.to_str().unwrap()], "");

    assert_eq!(refused.code, Some(1));
    for words in ["wrong.yaml:", "amuont", "amount", "shpo"] {
        assert!(refused.error.contains(words), "{words}: {}", refused.error);
    }
    let listed = server.client().get("/api/v1/definitions").await.ok();
    assert!(!listed.to_string().contains("orders"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_do_not_fit_are_refused_by_number_and_the_others_count() {
    let server = Server::start(BINARY).await;
    world::apply(&server).await;
    let orders = world::orders(3, 5);
    let wrong = orders[1].line().replace("\"items\":", "\"itmes\":");
    let lines = format!("{}\n{wrong}\nnot json\n{}\n", orders[0].line(), orders[2].line());

    let done = shipway(&server.url(), &["ingest", "orders"], &lines);

    assert_eq!(done.code, Some(1), "refusals are an exit code too");
    assert!(done.out.contains("2 events acknowledged"), "{}", done.out);
    assert!(done.error.contains("event 1") && done.error.contains("items"), "{}", done.error);
    assert!(done.error.contains("event 2"), "{}", done.error);
    let kept = [orders[0].clone(), orders[2].clone()];
    let answer = server
        .client()
        .post_body("/api/v1/ingest/orders", "application/x-ndjson", orders[0].line())
        .await
        .ok();
    assert_eq!(answer["duplicates"], 1, "{answer}");
    world::equals_the_oracle(server.client(), &kept, world::after(&kept), answer["token"].as_str()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_things_are_named_with_the_nearest_that_exists() {
    let server = Server::start(BINARY).await;
    world::apply(&server).await;
    for arguments in [
        &["features", "read", "shosp", "--row", "shop=north"][..],
        &["ingest", "order"],
        &["sql", "SELECT * FROM ordres"],
    ] {
        let refused = shipway(&server.url(), arguments, "{}\n");
        assert_eq!(refused.code, Some(1), "{arguments:?}");
        assert!(refused.error.contains("error:"), "{arguments:?}: {}", refused.error);
        assert!(refused.error.contains("shops") || refused.error.contains("orders"), "{}", refused.error);
    }
}

#[test]
fn no_server_and_a_wrong_command_line_have_their_own_codes() {
    let none = shipway("http://127.0.0.1:9", &["status"], "");
    assert_eq!(none.code, Some(3));
    assert!(none.error.contains("shipway serve"), "{}", none.error);
    assert_eq!(shipway("http://127.0.0.1:9", &["stats"], "").code, Some(64));
    assert_eq!(shipway("http://127.0.0.1:9", &["--help"], "").code, Some(0));
}

#[test]
fn completions_name_every_verb() {
    let done = shipway("http://127.0.0.1:9", &["completions", "bash"], "");
    for verb in [
        "serve", "plan", "apply", "drop", "table", "sql", "ingest", "features", "models", "deploy",
        "predict", "status",
    ] {
        assert!(done.out.contains(verb), "{verb}");
    }
}
