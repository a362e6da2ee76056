// What the page shows of the two documents. Pure.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** @typedef {{ id: string, method: string, path: string, operation: any, group: string }} Operation */

/** Return all operations of an OpenAPI document in the order of its groups. @param {any} document @returns {Operation[]} */
export function listOperations(document) {
  const groups = document.tags.map((/** @type {any} */ tag) => tag.name);
  const found = Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({
      id: `${method} ${path}`,
      method: method.toUpperCase(),
      path,
      operation: { ...item[method], parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])].map((each) => resolve(document, each)) },
      group: item[method].tags?.[0] ?? "",
    })),
  );
  return found.sort((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group));
}

/** Return all events of an AsyncAPI document: those that the service sends, then those of clients. @param {any} document */
export function listEvents(document) {
  const { messages } = document.channels.events;
  return Object.entries(document.operations)
    .map(([name, operation]) => ({
      id: `event ${name}`,
      name,
      isSent: operation.action === "send",
      summary: operation.summary,
      description: operation.description,
      payload: messages[name].payload,
      reply: messages[`${name}Acknowledgement`]?.payload,
    }))
    .sort((a, b) => Number(b.isSent) - Number(a.isSent));
}

/** Return what a `$ref` names, or the value itself. @param {any} document @param {any} value */
export function resolve(document, value) {
  if (!value?.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((/** @type {any} */ present, /** @type {string} */ part) => present?.[part], document);
}

/** Return the name of a schema's type, such as `string[]` or `integer or null`. @param {any} document @param {any} schema @returns {string} */
export function nameType(document, schema) {
  const resolved = resolve(document, schema) ?? {};
  if (resolved.type === "array") return `${nameType(document, resolved.items)}[]`;
  if (Array.isArray(resolved.type)) return resolved.type.join(" or ");
  if (resolved.anyOf ?? resolved.oneOf) return (resolved.anyOf ?? resolved.oneOf).map((/** @type {any} */ each) => nameType(document, each)).join(" or ");
  return resolved.type ?? (resolved.enum ? typeof resolved.enum[0] : "any");
}

/** Return the members of an object, or of the objects in a list; [] for other schemas. @param {any} document @param {any} schema @returns {[string, any, boolean][]} name, schema, whether it is always there */
export function listMembers(document, schema) {
  const resolved = resolve(document, schema) ?? {};
  if (resolved.type === "array") return listMembers(document, resolved.items);
  const required = new Set(resolved.required ?? []);
  return Object.entries(resolved.properties ?? {}).map(([name, member]) => [name, member, required.has(name)]);
}

/** Whether every word of a search is in a text. @param {string} text @param {string} search */
export const matches = (text, search) => search.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));

/** Return a shell's form of a text. @param {string} text */
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Return the command that sends a request. What the reader has to fill in stands as `<name>`: curl would expand `{name}` itself.
 * @param {string} base address of the service, with a slash at its end
 * @param {Pick<Operation, "method" | "path" | "operation">} operation
 * @param {{ body?: any, needsToken?: boolean }} [options]
 */
export function buildCurl(base, { method, path, operation }, { body, needsToken = false } = {}) {
  const query = (operation.parameters ?? []).filter((/** @type {any} */ each) => each.in === "query" && each.required).map((/** @type {any} */ each) => `${each.name}=<${each.name}>`);
  const filled = path.slice(1).replace("{mac}", "02:00:5e:00:00:03").replace(/\{(\w+)\}/g, "<$1>");
  const parts = ["curl -s", ...(method === "GET" ? [] : [`-X ${method}`]), quote(`${base}${filled}${query.length ? "?" : ""}${query.join("&")}`)];
  if (needsToken) parts.push('-H "Authorization: Bearer $API_TOKEN"');
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", "-d", quote(JSON.stringify(body)));
  return parts.join(" ");
}
