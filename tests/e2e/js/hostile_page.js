// Runs on the hostile page. Tries every request that a page of another site can make. Returns for each "refused" or the
// text that it read.
async function attempt(service, mac) {
  const json = {"Content-Type": "application/json"}, plain = {"Content-Type": "text/plain"};
  const results = {};
  const record = async (name, attempted) => {
    try { results[name] = await attempted(); } catch (error) { results[name] = "refused"; }
  };
  const read = async (path, options) => {
    const answer = await fetch(service + path, options);
    const text = await answer.text();
    return answer.type == "opaque" && text == "" ? "refused" : `read ${answer.status} ${text.slice(0, 50)}`;
  };
  const element = (tag, attributes, parent = document.body) => new Promise((done, fail) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.onload = () => done("loaded"); made.onerror = fail;
    parent.append(made);
  });
  const form = (enctype, path, fields) => new Promise(done => {
    const frame = Object.assign(document.createElement("iframe"), {name: `frame${Math.random()}`});
    const made = Object.assign(document.createElement("form"), {method: "POST", action: service + path, enctype, target: frame.name});
    for (const [name, value] of Object.entries(fields))
      made.append(Object.assign(document.createElement("input"), {name, value}));
    document.body.append(frame, made);
    frame.onload = () => {
      try { done(frame.contentDocument.body.innerText ? "read" : "refused"); } catch (error) { done("refused"); }
    };
    made.submit();
  });
  const socket = url => new Promise((done, fail) => {
    const made = new WebSocket(url);
    made.onmessage = event => done(`heard ${event.data}`); made.onopen = () => made.send("40");
    made.onerror = made.onclose = fail;
  });
  const restart = `/devices/${mac}/system/restart`, one = `/devices/imprint/${mac}`;

  await record("form text/plain", () => form("text/plain", "/presets", {'{"name": "evil", "configuration": {}, "x": "': '"}'}));
  await record("form urlencoded", () => form("application/x-www-form-urlencoded", "/presets", {name: "evil"}));
  await record("form multipart", () => form("multipart/form-data", "/presets", {name: "evil"}));
  await record("form without a body", () => form("text/plain", restart, {}));
  await record("fetch no-cors POST", () => read(restart, {method: "POST", mode: "no-cors"}));
  await record("fetch no-cors body", () => read("/presets", {method: "POST", mode: "no-cors", headers: plain, body: "{}"}));
  await record("fetch cors GET", () => read("/devices/imprint"));
  await record("fetch no-cors GET", () => read("/devices/imprint", {mode: "no-cors"}));
  await record("fetch cors JSON", () => read("/presets", {method: "POST", headers: json, body: '{"name": "evil", "configuration": {}}'}));
  await record("fetch cors PUT", () => read("/devices/listen", {method: "PUT", headers: json, body: '{"macs": []}'}));
  await record("fetch cors PATCH", () => read(one, {method: "PATCH", headers: json, body: '{"device": {"name": "evil"}}'}));
  await record("fetch cors DELETE", () => read(one, {method: "DELETE"}));
  await record("fetch cors plain POST", () => read(restart, {method: "POST"}));
  await record("beacon", () => navigator.sendBeacon(service + "/presets", new Blob(["{}"], {type: "text/plain"})) && "refused");
  await record("websocket", () => socket(service.replace("http", "ws") + "/socket/io/?EIO=4&transport=websocket"));
  await record("polling", () => read("/socket/io/?EIO=4&transport=polling"));
  await record("polling no-cors", () => read("/socket/io/?EIO=4&transport=polling", {mode: "no-cors"}));
  await record("polling as script", () => element("script", {src: service + "/socket/io/?EIO=4&transport=polling&j=0"}));
  for (const path of ["/devices/imprint", "/presets", "/metrics", "/", "/openapi.json", "/dashboards", "/jobs"]) {
    await record(`script ${path}`, () => element("script", {src: service + path}));
    await record(`style ${path}`, () => element("link", {rel: "stylesheet", href: service + path}));
    await record(`image ${path}`, () => element("img", {src: service + path}));
  }
  await record("event source", () => new Promise((done, fail) => {
    const made = new EventSource(service + "/devices/imprint");
    made.onmessage = () => done("heard"); made.onerror = fail;
  }));
  await record("frame", async () => {
    const frame = Object.assign(document.createElement("iframe"), {src: service + "/"});
    const loaded = new Promise(done => { frame.onload = done; });
    document.body.append(frame);
    await loaded;
    return frame.contentDocument.body.innerText;
  });
  return results;
}
