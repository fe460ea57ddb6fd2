"""Images and documents by their address, from the unmodified clients to a provider that takes data only; and what the server will not fetch for anybody."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anthropic
import openai
import pytest
from cloud_gateway import CLAUDE, ID, REGION, SECRET, TOKEN, chat, claude, clouds, signed_mock, user  # noqa: F401
from gateway_setup import PATIENT, Gateway
from google import genai
from google.genai import types
from mock_provider import PIXEL, MockProvider
from real_binary import Server

PDF = b"%PDF-1.4 played"
LONGEST = 1 << 20
DEFINITIONS = f"""
kind: llm_model
name: far
deployments: [{{ provider: bedrock, model: "{CLAUDE}", price: {{ input: 1, output: 10 }} }}]
{PATIENT}
---
kind: llm_model
name: local
deployments: [{{ provider: openai, model: local-upstream, price: {{ input: 1, output: 10 }}, fetch_media: true }}]
{PATIENT}
"""


class Files(BaseHTTPRequestHandler):
    """What lies somewhere else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        path = self.path.split("?")[0]
        if path == "/late.png":
            time.sleep(4)
        leads = {"/on.png": "/pixel.png", "/inside.png": "http://127.0.0.1:1/pixel.png"}
        bodies = {"/pixel.png": base64.b64decode(PIXEL), "/report.pdf": PDF, "/large.png": b"x" * (LONGEST + 1), "/late.png": b"late"}
        body = bodies.get(path, b"nothing")
        self.send_response(302 if path in leads else 200 if path in bodies else 404)
        if path in leads:
            self.send_header("location", leads[path])
        self.send_header("content-type", "application/octet-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def files() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def far(binary: str, signed_mock: MockProvider, mock: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:  # noqa: F811
    """A gateway that may fetch from the name `localhost`, and from nothing else on this machine."""
    folder: Path = tmp_path_factory.mktemp("far")
    bedrock = {"KIND": "bedrock", "REGION": REGION, "BASE_URL": signed_mock.url, "ACCESS_KEY_ID": ID, "SESSION_TOKEN": TOKEN, "SECRET_ACCESS_KEY": SECRET}
    local = {"KIND": "openai", "BASE_URL": f"{mock.url}/v1", "API_KEY": "sk"}
    media = {"ALLOWED_HOSTS": '["localhost"]', "ALLOW_HTTP": "true", "FILE_MIB": "1", "TIMEOUT_SECONDS": "2"}
    environment = {f"SHIPWAY_LLM__MEDIA__{name}": value for name, value in media.items()}
    for provider, members in {"BEDROCK": bedrock, "OPENAI": local}.items():
        environment |= {f"SHIPWAY_PROVIDERS__{provider}__{name}": value for name, value in members.items()}
    server = Server(binary, folder / "data", folder / "server.log", environment)
    started = Gateway(server, signed_mock, "")
    started.apply(folder, DEFINITIONS)
    yield started._replace(key=started.new_key("clients"))
    server.stop()


@pytest.fixture
def address(files: ThreadingHTTPServer):
    return lambda path: f"http://localhost:{files.server_address[1]}/{path}"


def image(url: str) -> list[dict]:
    return user([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}])


def asked_of_bedrock(far: Gateway) -> list[dict]:
    return json.loads(far.mock.last()["body"])["messages"][0]["content"]


PNG_BLOCK = {"image": {"format": "png", "source": {"bytes": PIXEL}}}


@pytest.mark.parametrize("stream", [False, True])
def test_chat_shows_bedrock_an_image_that_lies_elsewhere(far, files, address, stream):
    with openai.OpenAI(base_url=far.openai, api_key=far.key, max_retries=0) as client:
        answer = client.chat.completions.create(model="far", messages=image(address("on.png?size=1")), stream=stream)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices) if stream else answer.choices[0].message.content
    assert said.startswith("digest=") and PNG_BLOCK in asked_of_bedrock(far)
    headers = {name.lower() for _, sent in files.asked for name in sent}
    assert not headers & {"authorization", "cookie", "referer", "x-api-key"}, headers


def test_every_client_has_its_images_and_documents_fetched(far, address):
    with openai.OpenAI(base_url=far.openai, api_key=far.key, max_retries=0) as client:
        parts = [{"type": "input_image", "image_url": address("pixel.png"), "detail": "auto"}, {"type": "input_file", "file_url": address("report.pdf")}]
        client.responses.create(model="far", input=[{"role": "user", "content": parts}])
    document = {"document": {"format": "pdf", "name": "report", "source": {"bytes": base64.b64encode(PDF).decode()}}}
    assert PNG_BLOCK in asked_of_bedrock(far) and document in asked_of_bedrock(far)
    with anthropic.Anthropic(base_url=far.url, api_key=far.key, max_retries=0) as client:
        sources = [{"type": kind, "source": {"type": "url", "url": address(path)}} for kind, path in (("image", "pixel.png"), ("document", "report.pdf"))]
        client.messages.create(model="far", max_tokens=9, messages=user(sources))
    assert PNG_BLOCK in asked_of_bedrock(far) and any("document" in block for block in asked_of_bedrock(far))
    options = types.HttpOptions(base_url=far.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=far.key, http_options=options) as client:
        part = types.Part.from_uri(file_uri=address("pixel.png"), mime_type="image/png")
        client.models.generate_content(model="far", contents=[part, "look"])
    assert PNG_BLOCK in asked_of_bedrock(far)


def test_a_server_that_fetches_nothing_itself_gets_data_where_its_deployment_says_so(far, mock, address):
    with openai.OpenAI(base_url=far.openai, api_key=far.key, max_retries=0) as client:
        client.chat.completions.create(model="local", messages=image(address("pixel.png")))
    sent = json.loads(mock.last()["body"])
    assert sent["model"] == "local-upstream"
    assert sent["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}


@pytest.mark.parametrize(
    ("path", "words"),
    [("nothing.png", "404"), ("large.png", "longer than 1048576 bytes"), ("late.png", "within 2 seconds"), ("inside.png", "not public"), ("report.pdf", "no image")],
)
def test_what_cannot_be_fetched_is_the_callers_to_mend(far, address, path, words):
    with openai.OpenAI(base_url=far.openai, api_key=far.key, max_retries=0) as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="far", messages=image(address(path)))
    assert words in refused.value.message and refused.value.param == "messages[0].content[1]"
    assert refused.value.code == "gateway.not_fetched" and refused.value.response.headers["x-shipway-error"] == "gateway.not_fetched"


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/x.png", "https://localhost/x.png", "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/x.png", "https://2130706433/x.png"]
)
def test_nobody_reads_through_the_server_what_only_it_can_reach(chat, claude, clouds, url):
    before = clouds.mock.mark()
    with pytest.raises(openai.BadRequestError, match="not public"):
        chat.chat.completions.create(model="claude", messages=image(url))
    with pytest.raises(anthropic.BadRequestError, match="not public"):
        # At Vertex Claude takes no addresses either.
        claude.messages.create(model="opus", max_tokens=9, messages=user([{"type": "image", "source": {"type": "url", "url": url}}]))
    assert clouds.mock.mark() == before


def test_without_encryption_nothing_is_fetched_unless_that_is_allowed(chat, address):
    with pytest.raises(openai.BadRequestError, match="only https"):
        chat.chat.completions.create(model="claude", messages=image(address("pixel.png")))
