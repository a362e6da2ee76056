"""The OpenAPI document: every operation is described, and its recorded example is as its schema says."""

import jsonschema_rs
import pytest

from app.blueprints.openapi import list_operations, load_examples

EXAMPLES = load_examples()


@pytest.fixture
def document(make_service):
    return make_service().client.get("/openapi.json").get_json()


def test_every_operation_has_a_summary_a_description_and_errors(document):
    assert document["openapi"].startswith("3.1.")
    for key, _, operation in list_operations(document):
        assert operation.get("summary"), key
        assert not operation["summary"].endswith("."), key
        assert operation.get("description"), key
        errors = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert errors.pop("401")["description"]
        assert all(answer.get("description") or "$ref" in answer for answer in errors.values()), key


def test_every_operation_has_a_real_example(document):
    assert {key for key, _, _ in list_operations(document)} == EXAMPLES.keys()
    for key, _, operation in list_operations(document):
        example = EXAMPLES[key]
        answer = operation["responses"][str(example["answer"]["status"])]
        assert answer["content"][example["answer"]["type"]]["example"] == example["answer"]["body"], key
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["example"] == example["body"], key


def test_examples_are_as_their_schemas_say(document):
    validated = 0
    for key, _, operation in list_operations(document):
        example = EXAMPLES[key]
        content = operation["responses"][str(example["answer"]["status"])]["content"]
        if schema := content["application/json"].get("schema") if "application/json" in content else None:
            validate(document, schema, example["answer"]["body"], key)
            validated += 1
        if "body" in example:
            validate(document, operation["requestBody"]["content"]["application/json"]["schema"], example["body"], key)
    assert validated > 45


def validate(document, schema, value, key):
    resolved = {**schema, "components": document["components"]}
    errors = [str(error) for error in jsonschema_rs.Draft202012Validator(resolved).iter_errors(value)]
    assert errors == [], key
