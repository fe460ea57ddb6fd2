"""Serves the translated streams of all golden files to the real clients: a whole one is read to its end, any other one raises. See README.md."""

import http.server
import json
import pathlib
import sys
import threading

import anthropic
import openai
from google import genai

SAID = [{"role": "user", "content": "hello"}]


class Stream(http.server.BaseHTTPRequestHandler):
    """Answers every request with `body`."""

    body = b""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        """Says nothing."""


class Clients:
    def __init__(self, url):
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
        self.google = genai.Client(api_key="none", http_options={"base_url": url})

    def read(self, dialect):
        """Reads a stream to its end, and raises unless that is a clean one."""
        if dialect == "open_ai_chat":
            chunks = list(self.openai.chat.completions.create(model="m", messages=SAID, stream=True))
            assert any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
        elif dialect == "open_ai_completions":
            chunks = list(self.openai.completions.create(model="m", prompt="hello", stream=True))
            assert any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
        elif dialect == "anthropic_messages":
            with self.anthropic.messages.stream(model="m", max_tokens=9, messages=SAID) as stream:
                assert stream.get_final_message().stop_reason
        elif dialect == "open_ai_responses":
            with self.openai.responses.stream(model="m", input="hello") as stream:
                assert stream.get_final_response().status == "completed"
        else:
            chunks = list(self.google.models.generate_content_stream(model="m", contents="hello"))
            assert chunks[-1].candidates[0].finish_reason


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    clients = Clients(f"http://127.0.0.1:{server.server_port}")
    wrong = checked = 0
    for path in sorted(pathlib.Path(__file__).parent.glob("stream_*.json")):
        case = json.loads(path.read_text())
        Stream.body = "".join(case["becomes"]).encode()
        whole = case["ending"] in ("Complete", "Unterminated")
        checked += 1
        try:
            clients.read(case["to"])
            problem = None if whole else "reads as a whole stream"
        except Exception as error:
            problem = repr(error) if whole else None
        if problem:
            wrong += 1
            print(f"{path.name}: {problem}")
    print(f"{checked} streams read, {wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
