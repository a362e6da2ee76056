// Watches the logs of the miners named and prints each line as JSON, until it is ended. With `drop` its connection is cut
// every two seconds; it then asks for what came since, as a browser would.
import { io } from "socket.io-client";

const [url, way, ...macs] = process.argv.slice(2);
const socket = io(url, { path: "/socket/io", transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 200 });
const places = new Map(macs.map((mac) => [mac, {}]));
const say = (event, payload) => console.log(JSON.stringify({ event, payload }));

socket.on("connect", () => {
  for (const mac of macs) {
    socket.emit("subscribeLogs", { mac, ...places.get(mac) }, (answer) => say("subscribed", answer));
  }
});
socket.on("log_line", (line) => {
  places.set(line.mac, { epoch: line.epoch, since: line.seq });
  say("log_line", line);
});
socket.on("disconnect", (reason) => say("disconnect", reason));
socket.on("events_lost", (lost) => say("events_lost", lost));
if (way === "drop") setInterval(() => socket.io.engine.close(), 2000);
process.on("SIGTERM", () => process.exit(0));
