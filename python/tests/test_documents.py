"""The documents keep what they promise: their Python runs from top to bottom, and their sessions answer as written."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from real_binary import ROOT, Server

import shipway

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(document: Path, names: dict[str, Any]) -> int:
    """Runs the blocks of a document one after the other; returns how many there were."""
    text = document.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 1
        if block[1] == "python":
            exec(compile("\n" * line + block[2], str(document), "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(block[2], names, document.name, str(document), line)
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        said: list[str] = []
        runner.run(test, out=said.append, clear_globs=False)
        assert runner.failures == 0, "".join(said)
        names.update(test.globs)
    return len(blocks)


def test_the_page_runs_from_top_to_bottom(deployed):
    assert run(ROOT / "docs" / "python.md", {}) == 7


def test_the_readme_runs_on_a_fresh_server(binary, tmp_path, monkeypatch):
    from conftest import shop

    server = Server(binary, tmp_path / "data", tmp_path / "server.log")
    monkeypatch.setenv("SHIPWAY_SERVER", server.url)
    monkeypatch.chdir(tmp_path)
    shop().save("shop.yaml")
    try:
        names: dict[str, Any] = {}
        assert run(ROOT / "python" / "README.md", names) == 4
        assert names["features"][0]["user_spending__amount_sum_1h"] == 12.5
        assert names["training"].to_arrow().column("user_spending__amount_sum_1h").to_pylist() == [12.5]
        assert shipway.Definitions.load("shop.yaml") == names["definitions"]
    finally:
        server.stop()


def test_the_readme_gets_a_user_going_in_its_first_lines():
    first = (ROOT / "python" / "README.md").read_text().splitlines()[:12]
    assert any("pip install" in line for line in first) and any("client.read(" in line for line in first)


@pytest.mark.parametrize("name", shipway.__all__)
def test_what_is_public_says_what_it_is(name):
    public = getattr(shipway, name)
    if inspect.isclass(public) or inspect.isfunction(public) or inspect.ismodule(public):
        assert (public.__doc__ or "").strip()
