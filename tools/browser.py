"""Drive Chromium: pages opened, measured, touched, photographed and printed, no network.

    with Browser() as browser:
        page = browser.open(path, width=390, dark=True)
        page.evaluate("document.title"), page.said

Chromium speaks its own protocol over a web socket; the few messages needed here are written out.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome",
         "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")  # fmt: skip
BROWSER = next((name for name in NAMES if shutil.which(name)), None)
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0", "--remote-allow-origins=*",
]  # fmt: skip


class Page:
    """One tab. `said` collects errors of the console and of scripts, and requests that failed."""

    def __init__(self, socket):
        self.socket, self.number, self.said = socket, 0, []

    def call(self, method: str, **params):
        """One command, and its answer; what else arrives in the meantime is noted."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self.note(message)

    def note(self, message: dict) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                said = details.get("exception", {}).get("description", details["text"])
                self.said.append(f"script: {said}")
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                said = [str(a.get("value", a.get("description"))) for a in params["args"]]
                self.said.append(f"console: {' '.join(said)}")
            case "Network.loadingFailed" if not params.get("canceled"):
                self.said.append(f"request: {params.get('errorText')} ({params.get('type')})")
            case "Network.requestWillBeSent" if params["request"]["url"].startswith("http"):
                self.said.append(f"request to {params['request']['url']}")

    def evaluate(self, script: str):
        """The value of an expression, or of the promise it gives."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise TimeoutError(f"after {seconds:g} s still not: {script}")
            time.sleep(0.03)

    def look(self, width: int, height: int = 900, dark: bool = False, touch: bool = False) -> None:
        """Set the size of the window, and what the system says of light and dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=touch,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, address: str) -> None:
        """Load a page, and wait until its equations stand."""
        self.said = []
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")
        self.evaluate("window.MathJax?.startup?.promise?.then(() => 1)")
        self.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))")

    def box(self, selector: str) -> list[float]:
        """Scroll an element to the middle of the window: its left, top, width and height there."""
        one = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{one}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.evaluate("new Promise(requestAnimationFrame)")
        return self.evaluate(f"(r => [r.x, r.y, r.width, r.height])({one}.getBoundingClientRect())")

    def picture(self, path: Path, whole: bool = False) -> None:
        """A screenshot, of what the window shows or of the whole page."""
        clip = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {
                "clip": {"x": 0, "y": 0, "width": size["width"],
                         "height": min(size["height"], 16000), "scale": 1},
                "captureBeyondViewport": True,
            }  # fmt: skip
        data = self.call("Page.captureScreenshot", format="png", **clip)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def mouse(self, kind: str, x: float, y: float, buttons: int = 0) -> None:
        """kind: mousePressed, mouseMoved, mouseReleased."""
        button = "left" if buttons or kind != "mouseMoved" else "none"
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons,
            clickCount=0 if kind == "mouseMoved" else 1,
        )  # fmt: skip

    def drag(self, start, end) -> None:
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, buttons=1)
        self.mouse("mouseMoved", *end, buttons=1)
        self.mouse("mouseReleased", *end)

    def swipe(self, start, end) -> None:
        """A finger that is put down, moved and lifted."""
        for kind, points in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
            touches = [{"x": x, "y": y} for x, y in points]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=touches)

    def key(self, name: str, shift: bool = False) -> None:
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9,
                 "Enter": 13, "Escape": 27, " ": 32}  # fmt: skip
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name,
                windowsVirtualKeyCode=codes[name], modifiers=8 if shift else 0,
            )  # fmt: skip


class Browser:
    """A Chromium with one tab and an empty profile; `open` loads a page into the tab.

    It reaches files alone, or, with `local`, also what this machine serves.
    """

    def __init__(self, local: bool = False):
        self.nobody = "--host-resolver-rules=MAP * ~NOTFOUND" + ", EXCLUDE 127.0.0.1" * local

    def __enter__(self) -> Browser:
        if BROWSER is None:
            raise RuntimeError(f"none of {', '.join(NAMES)} is on this machine")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [BROWSER, *FLAGS, self.nobody, f"--user-data-dir={self.profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            address = self.page_address()
            self.page = Page(websocket.create_connection(address, timeout=120))
            for domain in ("Page", "Runtime", "Network"):
                self.page.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def page_address(self) -> str:
        """Chromium writes down where it listens; its first tab has an address of its own."""
        written, end = Path(self.profile.name) / "DevToolsActivePort", time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            if written.exists() and (port := written.read_text().partition("\n")[0]):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
                if tabs:
                    return tabs[0]["webSocketDebuggerUrl"]
            time.sleep(0.05)
        raise RuntimeError("Chromium ended, or opened no tab within a minute")

    def __exit__(self, *_) -> None:
        if hasattr(self, "page"):
            self.page.socket.close()
        self.process.terminate()
        self.process.wait(20)
        self.profile.cleanup()

    def open(self, path: Path | str, width: int = 1280, height: int = 900, dark: bool = False,
             touch: bool = False) -> Page:  # fmt: skip
        address = path.resolve().as_uri() if isinstance(path, Path) else path
        self.page.look(width, height, dark, touch)
        self.page.go(address)
        return self.page
