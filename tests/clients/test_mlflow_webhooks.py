"""The unmodified MLflow client makes webhooks, and a small receiver gets what the real server sends."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import queue
import ssl
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookStatus
from mlflow.exceptions import MlflowException
from mlflow.webhooks.types import get_payload_class_for_event
from real_binary import Server

PATIENCE = 30


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it gets in `got`; `answers` holds the statuses of the next answers, then all are 200."""

    def __init__(self) -> None:
        self.got: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.answers: queue.Queue[int] = queue.Queue()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status = self.server.answers.get_nowait()
        except queue.Empty:
            status = 200
        self.server.got.put(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"thanks")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def own_server(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may send to this machine, and encrypts secrets."""
    folder = tmp_path_factory.mktemp("webhooks")
    environment = {
        "SHIPWAY_WEBHOOKS__ALLOWED_HOSTS": '["127.0.0.1"]',
        "SHIPWAY_WEBHOOKS__ALLOW_HTTP": "true",
        "SHIPWAY_WEBHOOKS__SECRET_KEY": "0123456789" * 4,
    }
    started = Server(binary, folder / "data", folder / "server.log", environment)
    yield started
    started.stop()


@pytest.fixture
def client(own_server: Server) -> Iterator[MlflowClient]:
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(own_server.url)
    mlflow.set_registry_uri(own_server.url)
    yield MlflowClient(own_server.url)
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


def next_of(receiver: Receiver, secret: str) -> dict:
    """The next message, whose signature must be right."""
    headers, body = receiver.got.get(timeout=PATIENCE)
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.".encode() + body
    made = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["x-mlflow-signature"] == f"v1,{made}"
    return json.loads(body)


def test_a_webhook_is_told_of_models_as_the_client_describes_them(
    client: MlflowClient, receiver: Receiver, name: str
) -> None:
    webhook = client.create_webhook(
        name=name,
        url=receiver.url,
        events=[
            "registered_model.created",
            "model_version.created",
            "model_version_tag.set",
            "model_version_alias.created",
            "model_version_alias.deleted",
        ],
        secret="hush-hush",
    )
    assert webhook.secret is None
    run = client.create_run("0")
    client.log_text(run.info.run_id, "x", "model/MLmodel")
    client.create_registered_model(name, tags={"team": "ops"}, description="delays")
    client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
    client.set_model_version_tag(name, "1", "k", "v")
    client.set_registered_model_alias(name, "champion", "1")
    client.delete_registered_model_alias(name, "champion")
    got = {}
    for _ in webhook.events:
        message = next_of(receiver, "hush-hush")
        got[f"{message['entity']}.{message['action']}"] = message["data"]
    for event in webhook.events:
        assert set(got[str(event)]) == set(get_payload_class_for_event(event).__annotations__), event
    assert got["registered_model.created"] == {"name": name, "tags": {"team": "ops"}, "description": "delays"}
    assert got["model_version.created"]["run_id"] == run.info.run_id
    assert got["model_version_alias.created"] == {"name": name, "alias": "champion", "version": "1"}
    client.delete_webhook(webhook.webhook_id)


def test_a_webhook_is_told_of_prompts(client: MlflowClient, receiver: Receiver, name: str) -> None:
    events = ["prompt.created", "prompt_version.created", "prompt_alias.created", "prompt_version_tag.set"]
    webhook = client.create_webhook(name=name, url=receiver.url, events=[*events, "model_version.created"], secret="s")
    mlflow.genai.register_prompt(name=name, template="Hi {{who}}", commit_message="first", tags={"tone": "warm"})
    mlflow.genai.set_prompt_alias(name, alias="live", version=1)
    mlflow.genai.set_prompt_version_tag(name, 1, "reviewed", "yes")
    got = {}
    while not set(events) <= set(got):
        message = next_of(receiver, "s")
        got[f"{message['entity']}.{message['action']}"] = message["data"]
    version = got["prompt_version.created"]
    assert version["template"] == "Hi {{who}}" and version["tags"]["tone"] == "warm"
    assert "mlflow.prompt.text" not in version["tags"] and version["description"] == "first"
    assert "model_version.created" not in got
    client.delete_webhook(webhook.webhook_id)


def test_a_webhook_is_tried_changed_listed_and_deleted(client: MlflowClient, receiver: Receiver, name: str) -> None:
    webhook = client.create_webhook(name=name, url=receiver.url, events=["model_version.created"], description="d")
    tried = client.test_webhook(webhook.webhook_id, "prompt_tag.set")
    assert (tried.success, tried.response_status, tried.response_body) == (True, 200, "thanks")
    receiver.answers.put(500)
    assert client.test_webhook(webhook.webhook_id).success is False
    changed = client.update_webhook(
        webhook.webhook_id, description="other", status=WebhookStatus.DISABLED, events=["prompt.created"]
    )
    assert (changed.name, changed.description, changed.status) == (name, "other", WebhookStatus.DISABLED)
    assert [str(event) for event in changed.events] == ["prompt.created"]
    kept = client.get_webhook(webhook.webhook_id)
    assert kept.url == receiver.url and kept.last_updated_timestamp >= kept.creation_timestamp
    others = [client.create_webhook(name=f"{name}-{n}", url=receiver.url, events=["prompt.created"]) for n in range(3)]
    listed, token = [], None
    while token or not listed:
        page = client.list_webhooks(max_results=2, page_token=token)
        listed.extend(one.webhook_id for one in page)
        token = page.token
    assert {webhook.webhook_id, *(one.webhook_id for one in others)} <= set(listed)
    for one in [webhook, *others]:
        client.delete_webhook(one.webhook_id)
    with pytest.raises(MlflowException, match="not found"):
        client.get_webhook(webhook.webhook_id)


def test_a_webhook_may_not_reach_what_nobody_allowed(client: MlflowClient, name: str) -> None:
    for url in ["http://127.0.0.2/", "http://localhost/", "https://169.254.169.254/", "http://[::1]/", "ftp://127.0.0.1/"]:
        with pytest.raises(MlflowException) as refused:
            client.create_webhook(name=name, url=url, events=["prompt.created"])
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE", url


def certificates(folder: Path) -> tuple[Path, Path]:
    """A certificate of a maker of its own, with its key, for 127.0.0.1; and that of the maker."""
    now = datetime.datetime.now(datetime.UTC)

    def made(
        subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, is_maker: bool
    ) -> x509.Certificate:
        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(called(subject))
            .issuer_name(called(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_maker, path_length=None), critical=True)
        )
        if not is_maker:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    maker_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    maker = made("maker", "maker", maker_key, maker_key, True)
    own = made("receiver", "maker", key, maker_key, False)
    pem = serialization.Encoding.PEM
    written = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "own.pem").write_bytes(written + own.public_bytes(pem))
    (folder / "maker.pem").write_bytes(maker.public_bytes(pem))
    return folder / "own.pem", folder / "maker.pem"


def test_a_webhook_is_encrypted_and_knows_its_receiver(binary: str, receiver: Receiver, name: str, tmp_path: Path) -> None:
    own, maker = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    # Hands are shaken by the thread of each request: one that breaks off in between holds up nobody.
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True, do_handshake_on_connect=False)
    url = receiver.url.replace("http:", "https:")
    allowed = {"SHIPWAY_WEBHOOKS__ALLOWED_HOSTS": '["127.0.0.1"]'}
    server = Server(binary, tmp_path / "data", tmp_path / "trusting.log", {**allowed, "SSL_CERT_FILE": str(maker)})
    try:
        client = MlflowClient(server.url, server.url)
        with pytest.raises(MlflowException, match="Allowed schemes are: https"):
            client.create_webhook(name=name, url=receiver.url, events=["registered_model.created"])
        webhook = client.create_webhook(name=name, url=url, events=["registered_model.created"], secret="s")
        client.create_registered_model(name)
        assert next_of(receiver, "s")["data"]["name"] == name
    finally:
        server.stop()
    server = Server(binary, tmp_path / "data", tmp_path / "doubting.log", allowed)
    try:
        tried = MlflowClient(server.url, server.url).test_webhook(webhook.webhook_id)
        assert tried.success is False and "certificate" in tried.error_message, tried
        assert receiver.got.empty()
    finally:
        server.stop()


def test_what_waits_is_sent_after_a_kill(binary: str, receiver: Receiver, name: str, tmp_path: Path) -> None:
    environment = {"SHIPWAY_WEBHOOKS__ALLOWED_HOSTS": '["127.0.0.1"]', "SHIPWAY_WEBHOOKS__ALLOW_HTTP": "true"}
    server = Server(binary, tmp_path / "data", tmp_path / "first.log", environment)
    client = MlflowClient(server.url, server.url)
    client.create_webhook(name=name, url=receiver.url, events=["registered_model.created"], secret="s")
    receiver.answers.put(503)
    client.create_registered_model(name)
    assert next_of(receiver, "s")["data"]["name"] == name
    server.kill()
    server = Server(binary, tmp_path / "data", tmp_path / "second.log", environment)
    try:
        headers, body = receiver.got.get(timeout=90)
        assert json.loads(body)["data"]["name"] == name and headers["x-mlflow-delivery-id"]
    finally:
        server.stop()
    for log in ["first.log", "second.log"]:
        assert "hook" not in (tmp_path / log).read_text().replace("webhook", "")
