"""The AsyncAPI document: its structure, and that it has exactly the events of the service."""

import json
import re
from pathlib import Path

from app.schemas.socketio import CLIENT_EVENTS, SERVER_EVENTS, build_asyncapi
from app.security.socketio_events import EVENT_RULES
from app.socketio.backpressure import EVENTS_LOST

SOCKETIO = Path(__file__).parents[2] / "app/socketio"
EMITTED = re.compile(r"""emit(?:_to_all|_device)?\(\s*"(\w+)"|_send\("(\w+)\"""")
REFERENCE = re.compile(r'"\$ref": "#/([^"]+)"')


def test_client_events_are_those_that_the_guard_passes():
    assert {event.name: event.scope for event in CLIENT_EVENTS} == {
        name: rule.scope.name.lower() for name, rule in EVENT_RULES.items()
    }


def test_server_events_are_those_that_the_code_emits():
    sources = "\n".join(path.read_text() for path in SOCKETIO.glob("*.py"))
    emitted = {first or second for first, second in EMITTED.findall(sources)} | {EVENTS_LOST}
    assert {event.name for event in SERVER_EVENTS} == emitted


def test_every_reference_resolves():
    document = build_asyncapi()
    references = REFERENCE.findall(json.dumps(document))
    assert len(references) > 50
    for reference in references:
        target = document
        for part in reference.split("/"):
            target = target[part]
        assert target


def test_document_has_the_members_that_asyncapi_3_requires():
    document = build_asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert all({"host", "protocol"} <= server.keys() for server in document["servers"].values())
    messages = document["channels"]["events"]["messages"]
    for name, operation in document["operations"].items():
        assert operation["action"] in ("send", "receive")
        assert operation["summary"]
        assert operation["channel"] == {"$ref": "#/channels/events"}
        assert operation["messages"] == [{"$ref": f"#/channels/events/messages/{name}"}]
        assert messages[name]["name"] == name
