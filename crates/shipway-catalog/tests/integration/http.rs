//! The native API.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use shipway_web::Guard;
use tower::ServiceExt;

use crate::{BASE, SERVICE, VIEW, apply, catalog};

struct Api(axum::Router);

impl Api {
    async fn new() -> Self {
        let catalog = catalog().await;
        apply(&catalog, &[BASE]).await;
        Self(shipway_catalog::routes(catalog).into_router(Arc::new(Guard::open_on_loopback())))
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn post(&self, verb: &str, texts: &[&str]) -> (StatusCode, Value) {
        let files: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| json!({ "path": format!("{index}.yaml"), "text": text }))
            .collect();
        self.send("POST", &format!("/api/v1/definitions/{verb}"), Some(json!({ "files": files }))).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send("GET", &format!("/api/v1/definitions{path}"), None).await
    }
}

#[tokio::test]
async fn a_plan_is_answered_and_an_apply_carries_it_out() {
    let api = Api::new().await;
    let (status, planned) = api.post("plan", &[VIEW, SERVICE]).await;
    assert_eq!(status, StatusCode::OK);
    assert_json_snapshot!(planned, @r#"
    {
      "has_changes": true,
      "cost": null,
      "changes": [
        {
          "kind": "view",
          "name": "origin_traffic",
          "action": "created",
          "before": null,
          "after": "sha256:a13a6b02df066959f49d529dc0885103581f6d58e72b15fde8c5c7984748cdce",
          "fields": [],
          "consequences": [
            "its tiles will be built from the history of source departures"
          ],
          "rebuild": null,
          "consumers": [],
          "personal": [],
          "warnings": []
        },
        {
          "kind": "service",
          "name": "late_arrivals",
          "action": "created",
          "before": null,
          "after": "sha256:5b590c5fa485896cf7de8d2d4531ccc4b19449a4095925d6e25b1d9760240198",
          "fields": [],
          "consequences": [
            "it makes vectors of 4 columns"
          ],
          "rebuild": null,
          "consumers": [],
          "personal": [],
          "warnings": []
        }
      ],
      "unchanged": [],
      "kept": [
        {
          "kind": "entity",
          "name": "origin"
        },
        {
          "kind": "source",
          "name": "departures"
        }
      ]
    }
    "#);

    let (status, applied) = api.post("apply", &[VIEW, SERVICE]).await;
    assert_eq!((status, &applied), (StatusCode::OK, &planned));
    let (_, again) = api.post("plan", &[VIEW, SERVICE]).await;
    assert_eq!(again["has_changes"], false);
}

#[tokio::test]
async fn every_error_is_an_entry_and_a_line() {
    let api = Api::new().await;
    let view = VIEW.replace("[avg]", "[avrg]").replace("source: departures", "source: departure");
    let (status, problem) = api.post("apply", &[&view]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_json_snapshot!(problem, @r#"
    {
      "errors": [
        {
          "path": "0.yaml",
          "line": 4,
          "message": "view origin_traffic: source departure does not exist",
          "hint": "did you mean departures?"
        },
        {
          "path": "0.yaml",
          "line": 8,
          "message": "view origin_traffic: operation avrg does not exist",
          "hint": "did you mean avg?"
        }
      ],
      "type": "urn:shipway:problem:definitions.invalid",
      "title": "Bad Request",
      "status": 400,
      "detail": "0.yaml:4: view origin_traffic: source departure does not exist (did you mean departures?)\n0.yaml:8: view origin_traffic: operation avrg does not exist (did you mean avg?)",
      "code": "definitions.invalid",
      "hint": "nothing was applied; correct every line and try again"
    }
    "#);
    let changed = BASE.replace("gate: text", "gate: int");
    let (status, problem) = api.post("plan", &[&changed]).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_json_snapshot!(problem, @r#"
    {
      "errors": [
        {
          "kind": "source",
          "name": "departures",
          "message": "source departures: column gate cannot change from text to int",
          "hint": "the history holds it; add a column of another name, or define a new source"
        }
      ],
      "type": "urn:shipway:problem:catalog.change_refused",
      "title": "Conflict",
      "status": 409,
      "detail": "source departures: column gate cannot change from text to int (the history holds it; add a column of another name, or define a new source)",
      "code": "catalog.change_refused",
      "hint": "nothing was applied"
    }
    "#);
}

#[tokio::test]
async fn definitions_are_listed_and_shown_with_their_revisions() {
    let api = Api::new().await;
    let (_, list) = api.get("").await;
    assert_json_snapshot!(list, @r#"
    {
      "definitions": [
        {
          "kind": "entity",
          "name": "origin",
          "hash": "sha256:717199f82894d591a514130d8ca9e3a01c4a6e99852402ee7123689ab76af7ce",
          "revision": 1,
          "applied_at": "2013-11-01T00:00:00Z",
          "applied_by": "ada",
          "description": null,
          "owner": null,
          "tags": []
        },
        {
          "kind": "source",
          "name": "departures",
          "hash": "sha256:3e15fe4831756d76d87009ad9c1abf18fc86f634a8aa93d8e4cffd48a8ad4f10",
          "revision": 1,
          "applied_at": "2013-11-01T00:00:00Z",
          "applied_by": "ada",
          "description": null,
          "owner": null,
          "tags": []
        }
      ]
    }
    "#);
    let (status, entity) = api.get("/entity/origin").await;
    assert_eq!(status, StatusCode::OK);
    assert_json_snapshot!(entity, @r#"
    {
      "kind": "entity",
      "name": "origin",
      "hash": "sha256:717199f82894d591a514130d8ca9e3a01c4a6e99852402ee7123689ab76af7ce",
      "definition": {
        "name": "origin",
        "keys": [
          [
            "origin",
            "text"
          ]
        ],
        "description": null,
        "owner": null
      },
      "fields": [
        [
          "key origin",
          "text"
        ],
        [
          "key order",
          "origin"
        ]
      ],
      "personal": [],
      "revisions": [
        {
          "revision": 1,
          "hash": "sha256:717199f82894d591a514130d8ca9e3a01c4a6e99852402ee7123689ab76af7ce",
          "applied_at": "2013-11-01T00:00:00Z",
          "applied_by": "ada",
          "in_force": true
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn an_unknown_definition_gets_the_nearest_name() {
    let api = Api::new().await;
    let (status, problem) = api.get("/source/departure").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_json_snapshot!(problem, @r#"
    {
      "type": "urn:shipway:problem:definitions.unknown",
      "title": "Not Found",
      "status": 404,
      "detail": "source departure does not exist",
      "code": "definitions.unknown",
      "hint": "did you mean departures?"
    }
    "#);
    let (status, problem) = api.get("/sauce/departures").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_json_snapshot!(problem, @r#"
    {
      "type": "urn:shipway:problem:catalog.unknown_kind",
      "title": "Not Found",
      "status": 404,
      "detail": "kind sauce does not exist",
      "code": "catalog.unknown_kind",
      "hint": "did you mean source?"
    }
    "#);
}

#[tokio::test]
async fn features_are_listed_and_searched() {
    let api = Api::new().await;
    api.post("apply", &[&format!("{VIEW}tags: [busy]\n"), SERVICE]).await;
    let (status, found) = api.send("GET", "/api/v1/features?tag=busy&text=AVG&deprecated=false", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(found["features"][0]["name"], "origin_traffic:dep_delay_avg_1h");
    assert_eq!(found["features"][0]["services"], json!(["late_arrivals"]));
    assert_eq!(found["features"].as_array().unwrap().len(), 1);
    let (status, problem) = api.send("GET", "/api/v1/features?tags=busy", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test]
async fn a_definition_is_dropped_once_nothing_uses_it() {
    let api = Api::new().await;
    api.post("apply", &[VIEW, SERVICE]).await;
    let (status, problem) = api.send("DELETE", "/api/v1/definitions/view/origin_traffic", None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_json_snapshot!(problem, @r#"
    {
      "errors": [
        {
          "kind": "view",
          "name": "origin_traffic",
          "message": "view origin_traffic is in use by service late_arrivals",
          "hint": "take it out of service late_arrivals and apply that, or drop the service first",
          "consumers": [
            {
              "kind": "service",
              "name": "late_arrivals",
              "effect": "takes it"
            }
          ]
        }
      ],
      "type": "urn:shipway:problem:catalog.in_use",
      "title": "Conflict",
      "status": 409,
      "detail": "view origin_traffic is in use by service late_arrivals",
      "code": "catalog.in_use",
      "hint": "take it out of service late_arrivals and apply that, or drop the service first"
    }
    "#);
    let (status, dry) =
        api.send("DELETE", "/api/v1/definitions/service/late_arrivals?dry_run=true", None).await;
    assert_eq!((status, &dry["changes"][0]["action"]), (StatusCode::OK, &json!("removed")));
    let (status, done) = api.send("DELETE", "/api/v1/definitions/service/late_arrivals", None).await;
    assert_eq!((status, &done), (StatusCode::OK, &dry));
    let (status, _) = api.send("DELETE", "/api/v1/definitions/view/origin_traffic", None).await;
    assert_eq!(status, StatusCode::OK);
    let (_, gone) = api.get("/view/origin_traffic").await;
    assert_eq!(gone["hash"], Value::Null);
}

#[tokio::test]
async fn the_schema_is_served() {
    let (status, schema) = Api::new().await.get("/schema").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(schema["title"], "Definition");
}
