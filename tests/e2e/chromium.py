"""A real browser that a test controls over its debugging port.

It connects to loopback only: the names that a test needs are mapped to 127.0.0.1, and no other name resolves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import requests
from processes import Process, wait_for
from websocket import create_connection

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--remote-debugging-port=0",
    "--window-size=1200,900",
]

RECORDER = """
window.recordedViolations = [];
addEventListener("securitypolicyviolation", event => {
  recordedViolations.push(`${event.violatedDirective}: ${event.blockedURI} in ${event.sourceFile}`);
});
addEventListener("error", event => recordedViolations.push(`error: ${event.message}`));
addEventListener("unhandledrejection", event => recordedViolations.push(`rejection: ${event.reason}`));
"""


class Browser:
    """A browser with one tab. `names` resolve to 127.0.0.1."""

    def __init__(self, start_program: Callable[..., Process], folder: Path, names: Iterable[str] = ()) -> None:
        mapped = [f"MAP {name} 127.0.0.1" for name in names]
        rules = ", ".join([*mapped, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"])
        profile = folder / "chromium"
        flags = [*FLAGS, f"--user-data-dir={profile}", f"--host-resolver-rules={rules}"]
        self._process = start_program("chromium", *flags, "about:blank")
        port = profile / "DevToolsActivePort"
        wait_for("the browser", lambda: port.exists() and len(port.read_text().splitlines()) == 2, 30)
        tabs = requests.get(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list", timeout=10).json()
        [address] = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]
        self._socket = create_connection(address, suppress_origin=True, timeout=60)
        self._numbers = count(1)
        self.send_command("Page.enable")

    def send_command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a DevTools command and return its result; events are skipped."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        assert "error" not in answer, answer
        return dict(answer["result"])

    def open_page(self, address: str) -> None:
        self.send_command("Page.navigate", url=address)
        wait_for(f"{address} in the browser", lambda: self.evaluate("document.readyState") == "complete", 20)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page; wait for a promise."""
        result = self.send_command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def record_violations(self) -> None:
        """Record violations of the content security policy, and unhandled errors, in each page that is opened next."""
        self.send_command("Page.addScriptToEvaluateOnNewDocument", source=RECORDER)

    def list_violations(self) -> list[str]:
        return list(self.evaluate("window.recordedViolations"))

    def move_mouse(self, x: float, y: float) -> None:
        self.send_command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def hover_elements(self, selector: str) -> int:
        """Move the mouse over the middle of each element that matches; return the number of elements."""
        places = f"""[...document.querySelectorAll({selector!r})].map(each => {{
            each.scrollIntoView({{block: "center"}});
            const box = each.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})"""
        middles = self.evaluate(places)
        for x, y in middles:
            self.move_mouse(x, y)
        return len(middles)

    def close(self) -> None:
        self._socket.close()
        self._process.stop()
