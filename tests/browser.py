"""A headless Chromium, controlled by its DevTools protocol over two pipes, so it needs no driver and no port."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from time import sleep
from typing import Any

SECONDS = 120
"""The longest time that a browser may run."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # Chromium demands it from the root user
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
]


class Browser:
    """A browser with one page.

    events: every message of the browser that is not an answer, in order, as (method, params).
    """

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._sent, self._session = to, os.fdopen(back, "rb"), 0, ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Send a command, and return the browser's answer. Raises RuntimeError if the answer is an error."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._sent:
            self.events.append((answer["method"], answer["params"]))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, page: Path | str) -> None:
        """Load a file or an address, and wait until it and its pictures are loaded."""
        self.send("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while "Page.loadEventFired" not in (name for name, _ in self.events):
            message = self._read()
            self.events.append((message["method"], message["params"]))

    def run(self, script: str) -> Any:
        """Return the JSON value of an expression in the page. Raises RuntimeError if it throws."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def choose(self, element: str, file: Path) -> None:
        """Choose a file in an input, as a person does. element: an expression that gives the input."""
        found = self.send("Runtime.evaluate", expression=element)["result"]["objectId"]
        self.send("DOM.setFileInputFiles", objectId=found, files=[str(file)])

    def wait(self, script: str) -> Any:
        """Return the value of an expression as soon as it is true. Raises TimeoutError after 20 seconds."""
        for _ in range(200):
            if value := self.run(script):
                return value
            sleep(0.1)
        raise TimeoutError(script)

    def size(self, width: int, height: int, phone: bool = False) -> None:
        """Set the size of the window, in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, scheme: str) -> None:
        """Set the colour scheme that the user prefers: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, file: Path, whole: bool = False) -> None:
        """Write a screenshot as PNG.

        whole: whether it shows the whole page, and not only the window.
        """
        file.write_bytes(b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def pdf(self) -> bytes:
        """Return the page as it prints."""
        return b64decode(self.send("Page.printToPDF", preferCSSPageSize=True)["data"])

    def problems(self) -> list[str]:
        """Return console messages, exceptions and denied requests of the page."""
        names = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(params)[:500] for name, params in self.events if name in names]

    def requests(self) -> list[str]:
        """Return the addresses that the page requested, except data URLs."""
        urls = [params["request"]["url"] for name, params in self.events if name == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("data:")]

    def _read(self) -> Any:
        message = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium ended")
            message += byte
        return json.loads(message)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a Chromium with a new profile in that folder. The machine must have Chromium."""
    assert CHROMIUM
    (read, to), (back, write) = os.pipe(), os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4.
    command = [
        "bash",
        "-c",
        f'exec "$@" 3<&{read} 4>&{write}',
        "bash",
        CHROMIUM,
        *OPTIONS,
        f"--user-data-dir={profile}",
    ]
    process = subprocess.Popen(
        command, pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    os.close(read)
    os.close(write)
    # Without a limit, a browser that hangs would make its test wait forever.
    limit = Timer(SECONDS, process.kill)
    limit.start()
    try:
        yield Browser(to, back)
    finally:
        limit.cancel()
        process.terminate()
        process.wait(timeout=20)
        os.close(to)
