"""Reads the outputs of all golden files with the types of the real clients; see README.md."""

import json
import pathlib
import sys

from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from google.genai.types import Content, GenerateContentResponse, GenerationConfig, Tool, ToolConfig
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.completion import Completion
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

ANSWERS = {
    "open_ai_chat": ChatCompletion,
    "open_ai_completions": Completion,
    "anthropic_messages": Message,
    "open_ai_responses": Response,
    "gemini_generate": GenerateContentResponse,
}
EVENTS = {
    "open_ai_chat": ChatCompletionChunk,
    "anthropic_messages": RawMessageStreamEvent,
    "open_ai_responses": ResponseStreamEvent,
    "gemini_generate": GenerateContentResponse,
}
# Gemini's client has no type of a whole request's body.
PARTS_OF_GEMINI = {
    "contents": list[Content],
    "systemInstruction": Content,
    "tools": list[Tool],
    "toolConfig": ToolConfig,
    "generationConfig": GenerationConfig,
}
REQUESTS = {
    ("open_ai_chat", False): CompletionCreateParamsNonStreaming,
    ("open_ai_chat", True): CompletionCreateParamsStreaming,
    ("open_ai_responses", False): ResponseCreateParamsNonStreaming,
    ("open_ai_responses", True): ResponseCreateParamsStreaming,
    ("anthropic_messages", False): MessageCreateParamsNonStreaming,
    ("anthropic_messages", True): MessageCreateParamsStreaming,
}


def lines(frames):
    """The data of all frames but terminators, comments, pings and errors, which clients do not read into types."""
    for frame in frames:
        for line in frame.splitlines():
            data = line.removeprefix("data: ")
            if data != line and data != "[DONE]":
                value = json.loads(data)
                if "error" not in value and value.get("type") not in ("error", "ping"):
                    yield value


def check(case):
    to, becomes = case["to"], case["becomes"]
    if "request" in case:
        kind = REQUESTS.get((to, bool(becomes.get("stream"))))
        for item in becomes.get("input", []):
            if item.get("type") == "reasoning":
                # The type insists on an id; the API takes what is sealed without one, and refuses it with another's.
                item.setdefault("id", "rs_1")
        if kind:
            TypeAdapter(kind).validate_python(becomes)
        else:
            for name, value in becomes.items():
                TypeAdapter(PARTS_OF_GEMINI[name]).validate_python(value)
    elif "answer" in case:
        TypeAdapter(ANSWERS[to]).validate_python(becomes)
    else:
        # The type of completions says that no chunk is without a reason to finish; those of OpenAI are.
        for value in lines(becomes) if to in EVENTS else []:
            TypeAdapter(EVENTS[to]).validate_python(value)


def main():
    wrong = checked = 0
    for path in sorted(pathlib.Path(__file__).parent.glob("*.json")):
        case = json.loads(path.read_text())
        if "becomes" not in case:
            continue
        checked += 1
        try:
            check(case)
        except Exception as error:
            wrong += 1
            print(f"{path.name}: {error}")
    print(f"{checked} files read, {wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
