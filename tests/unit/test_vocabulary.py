"""The vocabulary of the code: words of the former dialect stay out of names, docstrings and comments."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(
    path
    for folder in ("app", "simulator", "tools", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if path.is_file()
) + [ROOT / "gunicorn.conf.py", ROOT / "wsgi.py"]
DOCUMENTS = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "CHANGELOG.md"))]

# Word → the standard term.
BANNED_WORDS = {
    "agenda": "due queue",
    "breathe": "yield to the event loop",
    "doorway": "device access",
    "everybody": "all clients, all callers",
    "goodbye": "shutdown, close frame",
    "judge": "check, validate",
    "judged": "checked, validated",
    "judges": "checks, validates",
    "nobody": "no client, no device",
    "patience": "timeout, deadline",
    "settler": "recovery",
    "somebody": "a client, a user, another service",
    "someone": "a client, a user, another service",
    "spelled": "canonical",
    "telltale": "canary",
    "the original": "the Node backend",
    "the original's": "the Node backend's",
    "whoever": "the caller, the subscriber",
}
# Parts of names, between underscores or capitals.
BANNED_NAMES = {
    "agenda": "due_queue",
    "chance": "rng",
    "course": "progress",
    "doorway": "device_access",
    "hands": "device_actions",
    "house": "testbed",
    "intent": "desired_state",
    "intents": "desired_states",
    "judge": "check",
    "patience": "timeout",
    "settler": "recovery",
    "spelled": "canonical",
    "telltale": "canary",
    "wish": "write_request",
}
# (file, word): why it may stay.
ALLOWED = {("tests/unit/test_vocabulary.py", word): "the list itself" for word in (*BANNED_WORDS, *BANNED_NAMES)}

# Names in docstrings of app/ that are not names of the code.
FOREIGN_NAMES = {
    "02005e00001a": "example of a MAC",
    "0x7f000001": "example of an address",
    "ArduinoJson": "library of NerdOS",
    "PublicDashboard": "type of Grafana",
    "_FILE": "end of a setting's name",
    "a_core": "example of a metric's name",
    "api_key2": "example of a key",
    "connect_error": "event of Socket.IO",
    "fallbackStratumPassword": "key of the firmware",
    "fallbackStratumURL": "key of the firmware",
    "key64": "key of a backup file",
    "value64": "key of a backup file",
}

_NAMES_IN_PROSE = re.compile(r"\b(?:[A-Z][a-z0-9]+){2,}\b|(?<=`)\w+(?=`)")
_WORDS = re.compile(rf"\b({'|'.join(sorted(map(re.escape, BANNED_WORDS), key=len, reverse=True))})\b", re.IGNORECASE)
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def read_prose(source):
    """Yield the line and text of each docstring and comment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def read_names(source):
    """Yield the line and text of each identifier."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def find_banned(path, source):
    place = str(path.relative_to(ROOT))
    for line, text in read_prose(source):
        for match in _WORDS.finditer(text):
            word = match[1].lower()
            if (place, word) not in ALLOWED:
                yield f"{place}:{line}: {word!r}; use {BANNED_WORDS[word]!r}"
    for line, name in read_names(source):
        for part in map(str.lower, _NAME_PARTS.findall(name)):
            if part in BANNED_NAMES and (place, part) not in ALLOWED:
                yield f"{place}:{line}: {name}; use {BANNED_NAMES[part]!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_uses_standard_terms(path):
    assert list(find_banned(path, path.read_text())) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_uses_standard_terms(path):
    found = [match[1] for match in _WORDS.finditer(path.read_text())]
    assert found == []


def read_words_of_code(source):
    """Yield the words of identifiers and of strings that are not docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME or (token.type == tokenize.STRING and '"""' not in token.string):
            yield from re.findall(r"\w+", token.string)


def test_names_in_docstrings_exist():
    sources = {path: path.read_text() for path in FILES if path.is_relative_to(ROOT / "app")}
    known = {word for source in sources.values() for word in read_words_of_code(source)} | FOREIGN_NAMES.keys()
    unknown = {
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, source in sources.items()
        for line, text in read_prose(source)
        for name in _NAMES_IN_PROSE.findall(text)
        if not text.startswith("#") and name not in known
    }
    assert unknown == set()


@pytest.mark.parametrize(
    "source",
    ['"""What nobody sees."""', "x = 1  # whoever looks", "def judge_it(): pass", "class Hands: pass", "f(patience=1)"],
)
def test_banned_words_are_found(source):
    assert list(find_banned(ROOT / "app/example.py", source))
