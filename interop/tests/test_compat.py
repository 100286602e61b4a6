"""A real browser signs in by the interface of IMQS Auth as its front ends do: with a cookie that scripts see."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from harness.chromium import launch
from harness.ports import free_port
from harness.server import binary

# Ready at once: whatever tests an application with it starts it anew for each test.
READY_S = 10
FIXTURE = {
    "groups": [{"name": "crew", "permissions": [3, 999]}],
    "users": [
        {"email": "joe", "username": "joeUsername", "password": "JOE", "groups": ["enabled", "crew"]},
        {"email": "idle", "password": "IDLE", "groups": []},
    ],
}
SIGN_IN = """async ([identity, password]) => {
  const headers = {Authorization: 'Basic ' + btoa(identity + ':' + password)};
  const answer = await fetch('/login', {method: 'POST', headers});
  return [answer.status, await answer.text(), document.cookie];
}"""
ASK = """async (path) => {
  const answer = await fetch(path, {method: path === '/logout' ? 'POST' : 'GET'});
  return [answer.status, await answer.text(), document.cookie];
}"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throw-away server with the users of a file."""
    users: Path = tmp_path_factory.mktemp("imqs") / "users.json"
    users.write_text(json.dumps(FIXTURE))
    listen = f"127.0.0.1:{free_port()}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEYREEVE_")}
    command = [str(binary()), "imqs", "--fixture", str(users), "--listen", listen]
    process = subprocess.Popen(command, env=inherited, stdout=subprocess.DEVNULL)
    url, until = f"http://{listen}", time.monotonic() + READY_S
    while True:
        try:
            if httpx.get(f"{url}/ping").status_code == httpx.codes.OK:
                break
        except httpx.TransportError:
            assert time.monotonic() < until, "the server is not ready"
            time.sleep(0.02)
    yield url
    process.terminate()
    assert process.wait(READY_S) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


def test_a_browser_signs_in_by_the_cookie_and_out_again(plant: str, browser: Browser) -> None:
    """The cookie comes by the sign-in, is sent by the browser itself, and is gone after the sign-out."""
    page = browser.new_context(bypass_csp=True).new_page()
    page.goto(f"{plant}/hello")
    assert page.inner_text("body") == "Hello!"
    status, text, cookie = page.evaluate(SIGN_IN, ["joe", "wrong"])
    assert (status, text, cookie) == (401, "Invalid password", "")
    status, text, _ = page.evaluate(SIGN_IN, ["idle", "IDLE"])
    assert (status, text) == (403, "Account disabled")
    status, text, cookie = page.evaluate(SIGN_IN, ["joe", "JOE"])
    assert status == httpx.codes.OK
    said = json.loads(text)
    assert (said["UserId"], said["Identity"], said["Roles"]) == (1, "joe", ["2", "3", "999"])
    # How the front end finds out whether somebody is signed in.
    assert cookie.startswith("session=")
    [kept] = page.context.cookies()
    assert (kept["name"], len(kept["value"]), kept["httpOnly"], kept["path"]) == ("session", 30, False, "/")
    status, text, _ = page.evaluate(ASK, "/check")
    assert (status, json.loads(text)["Username"]) == (200, "joeUsername")
    page.reload()
    status, text, cookie = page.evaluate(ASK, "/logout")
    assert (status, text, cookie) == (200, "", "")
    status, text, _ = page.evaluate(ASK, "/check")
    assert (status, text) == (401, "No authorization information")
    # The cookie that somebody kept is worth nothing any more.
    stale = httpx.get(f"{plant}/check", headers={"cookie": f"session={kept['value']}"})
    assert (stale.status_code, stale.text) == (403, "Invalid session token")


def test_a_page_of_another_site_changes_nothing(plant: str, browser: Browser) -> None:
    """The cookie has no SameSite attribute; that the request comes from elsewhere is found out otherwise."""
    page = browser.new_context(bypass_csp=True).new_page()
    page.goto(f"{plant}/hello")
    status, _, cookie = page.evaluate(SIGN_IN, ["joe", "JOE"])
    assert status == httpx.codes.OK
    assert cookie
    # The same server by another name is another site.
    other = plant.replace("127.0.0.1", "localhost")
    page.goto(f"{other}/hello")
    page.evaluate(
        """url => { const form = document.createElement('form'); form.method = 'post'; form.action = url;
           document.body.append(form); form.submit(); }""",
        f"{plant}/set_password?userid=1&password=stolen",
    )
    page.wait_for_load_state()
    credential = base64.b64encode(b"joe:JOE").decode()
    still = httpx.post(f"{plant}/login", headers={"authorization": f"Basic {credential}"})
    assert still.status_code == httpx.codes.OK
