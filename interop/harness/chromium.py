"""Debian's Chromium without a screen, and what it complains about."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, Response

from harness.node import FOLDER

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What axe-core looks at: WCAG 2.2 up to AA, and its own good practices.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def launch(playwright: Playwright) -> Browser:
    """A browser with a fresh profile."""
    path = shutil.which(os.environ.get("KEYREEVE_TEST_CHROMIUM", "chromium"))
    if not path:
        raise RuntimeError("Chromium is missing: run scripts/deps, or install the Debian package chromium")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


class Window:
    """A browser window with its own cookies, in which nothing may go wrong unnoticed."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self._refusals: set[str] = set()
        self.page.on("response", self._answered)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("requestfailed", self._failed)

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.status >= HTTPStatus.BAD_REQUEST:
            self._refusals.add(response.url)

    def _heard(self, message: ConsoleMessage) -> None:
        # A violation of the content security policy is told here as an error. So is the status of a page that says what
        # went wrong; tests look at such a page itself.
        if message.type == "error" and message.location["url"] in self._refusals and "status of 4" in message.text:
            return
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        # A page that is left before its icon has come.
        if request.failure == "net::ERR_ABORTED" and not request.is_navigation_request():
            return
        self.complaints.append(f"{request.method} {request.url}: {request.failure}")

    def send(self) -> None:
        """Presses the first button of the page's form, and waits for the page that answers."""
        with self.page.expect_navigation():
            self.page.click("main form button[type=submit]")

    def focused(self) -> dict[str, Any]:
        """The element that has the keyboard, and whether one can see that it has."""
        element: dict[str, Any] = self.page.evaluate(
            """() => {
                const it = document.activeElement, look = getComputedStyle(it);
                const ring = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2;
                return {
                    tag: it.tagName, type: it.type ?? '', autocomplete: it.autocomplete ?? '', value: it.value ?? '',
                    visible: ring || look.boxShadow !== 'none',
                };
            }"""
        )
        return element

    def tab_to(self, **wanted: str) -> None:
        """Presses Tab until an element with these properties has the keyboard, which one must be able to see."""
        for _ in range(25):
            element = self.focused()
            if all(element[name] == value for name, value in wanted.items()):
                assert element["visible"], f"one cannot see that {element} has the keyboard"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never reached {wanted} on {self.page.url}")

    def faults(self) -> list[str]:
        """What axe-core finds on this page."""
        self.page.evaluate((FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text())
        violations: list[dict[str, Any]] = self.page.evaluate(
            "async (rules) => (await axe.run(document, { runOnly: rules, resultTypes: ['violations'] })).violations",
            RULES,
        )
        return [
            f"{fault['id']}: {node['html']} ({node['failureSummary']})"
            for fault in violations
            for node in fault["nodes"]
        ]

    def overflow(self, width: int) -> int:
        """By how many pixels the page is wider than a window of this width."""
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": width, "height": 640})
        excess: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if before:
            self.page.set_viewport_size(before)
        return excess


@contextmanager
def window(browser: Browser, **options: Any) -> Iterator[Window]:  # noqa: ANN401 (those of Playwright)
    """A window that is closed afterwards, and must have had nothing to complain about."""
    context = browser.new_context(locale="en-GB", **options)
    context.set_default_timeout(10_000)
    try:
        opened = Window(context)
        yield opened
        assert not opened.complaints, opened.complaints
    finally:
        context.close()


class Application:
    """The relying party's own web site: remembers what browsers bring to it."""

    def __init__(self) -> None:
        brought: list[dict[str, str]] = []
        self.brought = brought

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._keep(urlsplit(self.path).query)

            def do_POST(self) -> None:
                self._keep(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

            def _keep(self, text: str) -> None:
                brought.append(dict(parse_qsl(text)))
                body = b"<!doctype html><html lang=en><title>Library</title><link rel=icon href='data:,'><h1>Back</h1>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
