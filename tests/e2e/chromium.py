"""A real browser that a test drives over its debugging port. It talks to loopback and to nobody else: every name that a
test needs is mapped there, and no other resolves."""

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


class Browser:
    """One tab. `names` lead to 127.0.0.1."""

    def __init__(self, run: Callable[..., Process], folder: Path, names: Iterable[str] = ()) -> None:
        mapped = [f"MAP {name} 127.0.0.1" for name in names]
        rules = ", ".join([*mapped, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"])
        profile = folder / "chromium"
        flags = [*FLAGS, f"--user-data-dir={profile}", f"--host-resolver-rules={rules}"]
        self._process = run("chromium", *flags, "about:blank")
        port = profile / "DevToolsActivePort"
        wait_for("the browser", lambda: port.exists() and len(port.read_text().splitlines()) == 2, 30)
        tabs = requests.get(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list", timeout=10).json()
        [address] = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]
        self._socket = create_connection(address, suppress_origin=True, timeout=60)
        self._numbers = count(1)
        self.command("Page.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result; events on the way are passed over."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        assert "error" not in answer, answer
        return dict(answer["result"])

    def open(self, address: str) -> None:
        self.command("Page.navigate", url=address)
        wait_for(f"{address} in the browser", lambda: self.evaluate("document.readyState") == "complete", 20)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        result = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def hover(self, x: float, y: float) -> None:
        self.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def hover_everything(self, selector: str) -> int:
        """The mouse over the middle of each; returns how many there were."""
        places = f"""[...document.querySelectorAll({selector!r})].map(each => {{
            each.scrollIntoView({{block: "center"}});
            const box = each.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})"""
        middles = self.evaluate(places)
        for x, y in middles:
            self.hover(x, y)
        return len(middles)

    def close(self) -> None:
        self._socket.close()
        self._process.stop()
