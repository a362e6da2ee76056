import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCurl, listMembers, listOperations, matches, nameType, resolve } from "../src/docs/documents.js";

const DOCUMENT = {
  tags: [{ name: "b" }, { name: "a" }],
  paths: { "/a": { get: { tags: ["a"], summary: "A" } }, "/b": { parameters: [{ $ref: "#/components/parameters/mac" }], post: { tags: ["b"], summary: "B" } } },
  components: {
    parameters: { mac: { name: "mac", in: "path" } },
    schemas: { Node: { type: "object", required: ["id"], properties: { id: { type: "string" }, children: { type: "array", items: { $ref: "#/components/schemas/Node" } } } } },
  },
};

test("operations come in the order of the groups, with the parameters of their path", () => {
  const operations = listOperations(DOCUMENT);
  assert.deepEqual(operations.map(({ id }) => id), ["post /b", "get /a"]);
  assert.deepEqual(operations[0].operation.parameters, [{ name: "mac", in: "path" }]);
});

test("a schema that contains itself has a name and members at each level", () => {
  const node = { $ref: "#/components/schemas/Node" };
  assert.deepEqual(listMembers(DOCUMENT, node).map(([name, , isRequired]) => [name, isRequired]), [["id", true], ["children", false]]);
  const children = resolve(DOCUMENT, node).properties.children;
  assert.equal(nameType(DOCUMENT, children), "object[]");
  assert.equal(listMembers(DOCUMENT, children).length, 2);
});

test("types of several kinds are joined", () => {
  assert.equal(nameType(DOCUMENT, { type: ["string", "null"] }), "string or null");
  assert.equal(nameType(DOCUMENT, { enum: ["a", "b"] }), "string");
  assert.equal(nameType(DOCUMENT, {}), "any");
});

test("a body is quoted for the shell", () => {
  assert.equal(buildCurl("http://h/", { method: "PUT", path: "/p", operation: {} }, { body: { a: "it's" } }), "curl -s -X PUT 'http://h/p' -H 'Content-Type: application/json' -d '{\"a\":\"it'\\''s\"}'");
});

test("a command says what is to be filled in, and takes the token from the environment", () => {
  const operation = { parameters: [{ name: "query", in: "query", required: true }, { name: "limit", in: "query" }] };
  assert.equal(
    buildCurl("http://h/pluto/", { method: "GET", path: "/presets/{uuid}", operation }, { needsToken: true }),
    "curl -s 'http://h/pluto/presets/<uuid>?query=<query>' -H \"Authorization: Bearer $API_TOKEN\"",
  );
});

test("every word of a search has to match", () => {
  assert.equal(matches("GET /devices List devices", "list dev"), true);
  assert.equal(matches("GET /devices List devices", "list job"), false);
});
