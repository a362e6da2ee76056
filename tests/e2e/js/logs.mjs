// Subscribes to the logs of the named miners and prints each event as JSON until SIGTERM. With `drop` it cuts its
// connection every two seconds and then requests the lines since the last one, as a browser does.
import { io } from "socket.io-client";

const [url, mode, ...macs] = process.argv.slice(2);
const socket = io(url, { path: "/socket/io", transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 200 });
const positions = new Map(macs.map((mac) => [mac, {}]));
const print = (event, payload) => console.log(JSON.stringify({ event, payload }));

socket.on("connect", () => {
  for (const mac of macs) {
    socket.emit("subscribeLogs", { mac, ...positions.get(mac) }, (answer) => print("subscribed", answer));
  }
});
socket.on("log_line", (line) => {
  positions.set(line.mac, { epoch: line.epoch, since: line.seq });
  print("log_line", line);
});
socket.on("disconnect", (reason) => print("disconnect", reason));
socket.on("events_lost", (lost) => print("events_lost", lost));
if (mode === "drop") setInterval(() => socket.io.engine.close(), 2000);
process.on("SIGTERM", () => process.exit(0));
