//! Artifacts: files of runs and logged models.

use axum::body::Body;
use http::Method;
use serde_json::json;

use super::app::App;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

#[tokio::test]
async fn a_file_comes_back_as_it_was_put() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    app.puts(&model_id, "code/a%20b.py", "print").await.ok();
    let root = format!("0/models/{model_id}/artifacts");
    let file = app.send(Method::GET, &format!("{PROXY}/{root}/code/a%20b.py"), Body::empty()).await;
    assert_eq!(file.bytes, b"print");
    assert_eq!(file.headers["content-length"], "5");
    assert_eq!(file.headers["content-disposition"], "attachment");
    let list = app.send(Method::GET, &format!("{PROXY}?path={root}"), Body::empty()).await.ok();
    let expected =
        json!([{ "path": "code", "is_dir": true }, { "path": "model.lgb", "is_dir": false, "file_size": 5 }]);
    assert_eq!(list["files"], expected);
    let list = app.send(Method::GET, &format!("{PROXY}?path={root}/code"), Body::empty()).await.ok();
    assert_eq!(list["files"][0]["path"], "a b.py");
    let list = app
        .get(&format!("logged-models/{model_id}/artifacts/directories?artifact_directory_path=code"))
        .await
        .ok();
    assert_eq!(list["files"][0]["path"], "code/a b.py");
    assert_eq!(list["root_uri"], format!("mlflow-artifacts:/{root}"));
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_by_every_route_that_sends_files() {
    let app = App::new().await;
    let model_id = app.logs_model("0123456789").await;
    app.registers("late", &model_id).await;
    let root = format!("0/models/{model_id}/artifacts");
    let run_id = app.creates_run().await;
    let of_run = format!("{PROXY}/0/{run_id}/artifacts/model.lgb");
    app.send(Method::PUT, &of_run, "0123456789").await.ok();
    let routes = [
        format!("{PROXY}/{root}/model.lgb"),
        format!("/ajax-api/2.0/mlflow-artifacts/artifacts/{root}/model.lgb"),
        format!("/get-artifact?run_id={run_id}&path=model.lgb"),
        "/model-versions/get-artifact?name=late&version=1&path=model.lgb".to_owned(),
        format!("/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files?artifact_file_path=model.lgb"),
    ];
    for route in routes {
        let part = app.send_with(Method::GET, &route, &[("range", "bytes=2-4")], Body::empty()).await;
        assert_eq!((part.status.as_u16(), part.bytes.as_slice()), (206, b"234".as_slice()), "{route}");
        assert_eq!(part.headers["content-range"], "bytes 2-4/10");
        assert_eq!(part.headers["content-length"], "3");
        assert_eq!(part.headers["content-disposition"], "attachment");
        let beyond = app.send_with(Method::GET, &route, &[("range", "bytes=10-")], Body::empty()).await;
        assert_eq!((beyond.status.as_u16(), beyond.bytes.len()), (416, 0));
        assert_eq!(beyond.headers["content-range"], "bytes */10");
    }
}

#[tokio::test]
async fn the_ends_of_a_file_can_be_asked_for_and_a_changed_file_is_sent_whole() {
    let app = App::new().await;
    let model_id = app.logs_model("0123456789").await;
    let route = format!("{PROXY}/0/models/{model_id}/artifacts/model.lgb");
    let asks = async |range: &'static str| {
        app.send_with(Method::GET, &route, &[("range", range)], Body::empty()).await
    };
    for (range, status, content) in [
        ("bytes=0-0", 206, "0"),
        ("bytes=9-", 206, "9"),
        ("bytes=-3", 206, "789"),
        ("bytes=-99", 206, "0123456789"),
        ("bytes=0-99", 206, "0123456789"),
        ("bytes=0-1,4-5", 200, "0123456789"),
        ("bytes=5-2", 200, "0123456789"),
    ] {
        let sent = asks(range).await;
        assert_eq!((sent.status.as_u16(), sent.bytes.as_slice()), (status, content.as_bytes()), "{range}");
    }
    let whole = app.send(Method::GET, &route, Body::empty()).await;
    assert_eq!(whole.status.as_u16(), 200);
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    let tag = whole.headers["etag"].to_str().unwrap().to_owned();
    let if_range = async |tag: &str| {
        let headers = [("range", "bytes=4-"), ("if-range", tag)];
        app.send_with(Method::GET, &route, &headers, Body::empty()).await.status.as_u16()
    };
    assert_eq!(if_range(&tag).await, 206);
    app.puts(&model_id, "model.lgb", "abcdefghij").await.ok();
    assert_eq!(if_range(&tag).await, 200);
    assert_eq!(if_range("Wed, 21 Oct 2015 07:28:00 GMT").await, 200);
    app.puts(&model_id, "empty", "").await.ok();
    let empty = route.replace("model.lgb", "empty");
    let sent = app.send_with(Method::GET, &empty, &[("range", "bytes=0-")], Body::empty()).await;
    assert_eq!(sent.status.as_u16(), 416);
}

#[tokio::test]
async fn run_artifacts_are_listed_and_deleted() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let root = format!("{PROXY}/0/{run_id}/artifacts");
    for path in ["plots/a.png", "plots/b.png", "notes.txt"] {
        app.send(Method::PUT, &format!("{root}/{path}"), "x").await.ok();
    }
    let list = app.get(&format!("artifacts/list?run_id={run_id}&path=plots")).await.ok();
    assert_eq!(list["files"][1], json!({ "path": "plots/b.png", "is_dir": false, "file_size": 1 }));
    app.send(Method::DELETE, &format!("{root}/plots"), Body::empty()).await.ok();
    let list = app.get(&format!("artifacts/list?run_id={run_id}")).await.ok();
    assert_eq!(list["files"], json!([{ "path": "notes.txt", "is_dir": false, "file_size": 1 }]));
    let gone = app.send(Method::GET, &format!("{root}/plots/a.png"), Body::empty()).await;
    assert_eq!(gone.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
}

#[tokio::test]
async fn nothing_is_read_or_written_outside_of_runs_and_models() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    for path in [
        "0/none/artifacts/x".to_owned(),
        "etc/passwd".to_owned(),
        format!("0/{run_id}/artifacts"),
        format!("0/{run_id}/artifacts/%2e%2e/x"),
        format!("0/{run_id}/artifacts/..%2fx"),
        format!("0/{run_id}/artifacts/%252e%252e%252fx"),
        format!("0/{run_id}/artifacts/a%5Cb"),
        format!("0/{run_id}/artifacts/a%23b"),
        format!("0/{run_id}/artifacts//x"),
    ] {
        for method in [Method::PUT, Method::GET] {
            let refused = app.send(method.clone(), &format!("{PROXY}/{path}"), "x").await.refused();
            assert!([400, 404].contains(&refused.0), "{method} {path}: {refused:?}");
        }
    }
    for path in ["../x", "%252e%252e/x", "/etc"] {
        let listed = app.get(&format!("artifacts/list?run_id={run_id}&path={path}")).await;
        assert_eq!(listed.refused().0, 400, "{path}");
    }
}

#[tokio::test]
async fn the_files_of_a_version_that_holds_an_alias_do_not_change() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    let version = app.registers("late", &model_id).await;
    app.puts(&model_id, "model.lgb", "better trees").await.ok();
    app.promotes("late", "champion", version).await.ok();
    app.puts(&model_id, "model.lgb", "better trees").await.ok();
    let refused = app.puts(&model_id, "model.lgb", "other trees").await;
    assert_eq!(refused.refused(), (409, "RESOURCE_CONFLICT".to_owned()));
    let path = format!("{PROXY}/0/models/{model_id}/artifacts/model.lgb");
    assert_eq!(app.send(Method::DELETE, &path, Body::empty()).await.refused().0, 409);
    assert_eq!(app.send(Method::GET, &path, Body::empty()).await.bytes, b"better trees");
}

#[tokio::test]
async fn a_browser_gets_files_by_what_they_belong_to_and_never_as_a_page() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=notes/page.html");
    app.send(Method::POST, &upload, "<script>alert(1)</script>").await.ok();
    let asked = format!("/get-artifact?run_uuid={run_id}&path=notes/page.html");
    let sent = app.send(Method::GET, &asked, Body::empty()).await;
    assert_eq!(sent.bytes, b"<script>alert(1)</script>");
    let header = |name: &str| sent.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-disposition"), "attachment");
    assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(header("content-type"), "application/octet-stream");

    app.post("registered-models/create", json!({ "name": "late" })).await.ok();
    let version = json!({ "name": "late", "source": format!("runs:/{run_id}/notes"), "run_id": run_id });
    app.post("model-versions/create", version).await.ok();
    let of_version = "/model-versions/get-artifact?name=late&version=1&path=";
    let sent = app.send(Method::GET, &format!("{of_version}page.html"), Body::empty()).await;
    assert_eq!(sent.bytes, b"<script>alert(1)</script>");
    for bad in ["../notes/page.html", "/etc/passwd", "%252e%252e/x", "x%23y", "C:/x"] {
        for path in [format!("{of_version}{bad}"), format!("/get-artifact?run_uuid={run_id}&path={bad}")] {
            assert_eq!(app.send(Method::GET, &path, Body::empty()).await.refused().0, 400, "{path}");
        }
        let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path={bad}");
        assert_eq!(app.send(Method::POST, &upload, "x").await.refused().0, 400, "{upload}");
    }
    let large = vec![b'x'; 10 * 1024 * 1024 + 1];
    let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=large");
    assert_eq!(app.send(Method::POST, &upload, large).await.refused().0, 413);
}
