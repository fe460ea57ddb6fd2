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
