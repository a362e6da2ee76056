// Connects to the service in every way that a client may, and prints each event as one line of JSON until SIGTERM.
import { io } from "socket.io-client";

const [url, path = "/socket/io"] = process.argv.slice(2);

const WAYS = {
  frontend: {}, // as the frontend's own server does: polling first, then the upgrade
  "polling, slash": { transports: ["polling"] },
  "polling, no slash": { transports: ["polling"], addTrailingSlash: false },
  "websocket, slash": { transports: ["websocket"] },
  "websocket, no slash": { transports: ["websocket"], addTrailingSlash: false },
  "upgrade, no slash": { transports: ["polling", "websocket"], addTrailingSlash: false },
};

const print = (way, event, payload) => console.log(JSON.stringify({ way, event, payload }));

for (const [way, options] of Object.entries(WAYS)) {
  const socket = io(url, { path, forceNew: true, ...options });
  const transport = () => print(way, "transport", socket.io.engine.transport.name);
  socket.on("connect", () => {
    transport();
    socket.io.engine.on("upgrade", transport);
    socket.emit("checkLogsListening");
  });
  socket.on("connect_error", (error) => print(way, "connect_error", String(error)));
  socket.on("disconnect", (reason) => print(way, "disconnect", reason));
  socket.onAny((event, payload) => print(way, event, payload));
}

process.on("SIGTERM", () => process.exit(0));
