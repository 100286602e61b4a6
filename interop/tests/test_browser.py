"""Headless Chromium (Debian) uses the pages: with and without scripts, by keyboard alone, in light and dark."""

import secrets
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from harness.admin import Admin
from harness.chromium import Application, Window, launch, window
from harness.server import Client, Person, Server

USERNAME = "input[autocomplete=username]:visible"
CURRENT = "input[autocomplete=current-password]"
NEW = "input[autocomplete=new-password]"
# The narrowest window that WCAG 1.4.10 asks for.
NARROW_PX = 320
GRANT = "urn:ietf:params:oauth:grant-type:"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    """The relying party's web site."""
    running = Application()
    yield running
    running.close()


@pytest.fixture(scope="module")
def client(server: Server, application: Application) -> Client:
    """Its registration."""
    return server.new_client("client_secret_basic", redirect_uri=f"{application.url}/callback")


def authorization(server: Server, client: Client, **more: str) -> tuple[str, str]:
    """A request to sign somebody in, and its state."""
    state = secrets.token_urlsafe(12)
    query = {
        "client_id": client.client_id,
        "response_type": "code",
        "redirect_uri": client.redirect_uri,
        "scope": client.scope,
        "state": state,
        "code_challenge": secrets.token_urlsafe(32),
        "code_challenge_method": "S256",
    }
    return f"{server.discovery()['authorization_endpoint']}?{urlencode(query | more)}", state


def give_credentials(at: Window, person: Person) -> None:
    """Fills in the sign-in page and sends it."""
    at.page.fill(USERNAME, person.username)
    at.page.fill(CURRENT, person.password)
    at.send()


def arrived(at: Window, application: Application, state: str) -> dict[str, str]:
    """What the browser brought to the application, once it is there."""
    at.page.wait_for_url(f"{application.url}/**")
    brought = application.brought[-1]
    assert brought["state"] == state
    return brought


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_signs_in_consents_and_signs_out(
    server: Server, person: Person, browser: Browser, application: Application, client: Client, scripts: bool
) -> None:
    """The whole way, by mouse; the second time neither password nor consent is asked for."""
    with window(browser, java_script_enabled=scripts) as at:
        url, state = authorization(server, client, prompt="consent")
        at.page.goto(url)
        give_credentials(at, person)
        assert "Library card" in at.page.inner_text("h1")
        at.send()
        assert arrived(at, application, state)["code"]

        url, state = authorization(server, client)
        at.page.goto(url)
        assert arrived(at, application, state)["code"]

        at.page.goto(server.discovery()["end_session_endpoint"])
        at.send()
        url, state = authorization(server, client, prompt="none")
        at.page.goto(url)
        assert arrived(at, application, state)["error"] == "login_required"


def test_signs_in_by_keyboard_alone(server: Server, browser: Browser, application: Application, client: Client) -> None:
    """Tab, typing and Enter are enough, and one always sees where one is."""
    person = server.new_person()
    with window(browser) as at:
        url, state = authorization(server, client)
        at.page.goto(url)
        at.tab_to(autocomplete="username")
        at.page.keyboard.type(person.username)
        at.tab_to(autocomplete="current-password")
        at.page.keyboard.type(person.password)
        at.page.keyboard.press("Enter")
        at.page.wait_for_selector("main form button[name][value]")
        at.tab_to(tag="BUTTON", type="submit")
        at.page.keyboard.press("Enter")
        assert arrived(at, application, state)["code"]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_changes_the_password_when_forced(
    server: Server, browser: Browser, application: Application, client: Client, scripts: bool
) -> None:
    """Nothing but a new password leads on; afterwards the old one opens nothing."""
    person = server.new_person("--must-change-password")
    chosen = Person(person.id, person.username, person.email, f"another staple {secrets.token_hex(6)}")
    with window(browser, java_script_enabled=scripts) as at:
        url, state = authorization(server, client)
        at.page.goto(url)
        give_credentials(at, person)
        for field in at.page.query_selector_all(NEW):
            field.fill(chosen.password)
        at.send()
        at.send()  # consent
        assert arrived(at, application, state)["code"]

    with window(browser, java_script_enabled=scripts) as at:
        url, state = authorization(server, client)
        at.page.goto(url)
        give_credentials(at, person)
        at.page.wait_for_selector("[role=alert]")
        give_credentials(at, chosen)
        assert arrived(at, application, state)["code"]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_answers_by_form_post(
    server: Server, person: Person, browser: Browser, application: Application, client: Client, scripts: bool
) -> None:
    """The answer travels in a form: by itself with scripts, by a button without."""
    with window(browser, java_script_enabled=scripts) as at:
        url, state = authorization(server, client, response_mode="form_post", prompt="consent")
        at.page.goto(url)
        give_credentials(at, person)
        at.send()
        if not scripts:
            at.send()
        assert arrived(at, application, state)["code"]
        assert at.page.url == client.redirect_uri


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(
    server: Server, browser: Browser, application: Application, client: Client, scheme: str
) -> None:
    """axe-core finds nothing on any page, and none is wider than a narrow window."""
    person = server.new_person("--must-change-password")
    chosen = Person(person.id, person.username, person.email, f"another staple {secrets.token_hex(6)}")
    found: dict[str, list[str]] = {}

    def look(at: Window, name: str) -> None:
        found[name] = at.faults()
        if (excess := at.overflow(NARROW_PX)) > 0:
            found[name].append(f"{excess} px too wide")

    with window(browser, color_scheme=scheme) as at:
        at.page.goto(server.url)
        look(at, "landing")
        url, state = authorization(server, client)
        at.page.goto(url)
        look(at, "sign-in")
        give_credentials(at, chosen)
        at.page.wait_for_selector("[role=alert]")
        look(at, "sign-in refused")
        give_credentials(at, person)
        at.page.wait_for_selector(NEW)
        look(at, "new password")
        for field in at.page.query_selector_all(NEW):
            field.fill("short")
        at.send()
        at.page.wait_for_selector("[role=alert]")
        look(at, "new password refused")
        for field in at.page.query_selector_all(NEW):
            field.fill(chosen.password)
        at.send()
        at.page.wait_for_selector("main form button[name][value]")
        look(at, "consent")
        at.send()
        arrived(at, application, state)
        at.page.goto(f"{server.url}/account")
        look(at, "account")
        at.page.goto(server.discovery()["end_session_endpoint"])
        look(at, "sign-out")
        at.send()
        look(at, "signed out")
    with window(browser, color_scheme=scheme) as at:
        answer = at.page.goto(authorization(server, client, client_id="nobody")[0])
        assert answer is not None
        assert answer.status == 400
        look(at, "error")
    assert len(found) == 10
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_connects_a_device(server: Server, person: Person, browser: Browser, scripts: bool, scheme: str) -> None:
    """RFC 8628: the code that a device shows is typed, looked at and allowed, on pages that everybody can use."""
    settings = {"auth_method": "none", "grant_types": [f"{GRANT}device_code"], "scopes": "openid profile"}
    with Admin(server) as admin:
        client = admin.client(**settings)
    begun = httpx.post(f"{server.issuer}/device_authorization", data={"client_id": client["client_id"]}).json()
    form = {"grant_type": f"{GRANT}device_code", "device_code": begun["device_code"], "client_id": client["client_id"]}
    found: dict[str, list[str]] = {}

    with window(browser, java_script_enabled=scripts, color_scheme=scheme) as at:

        def look(name: str) -> None:
            if scripts:
                found[name] = at.faults()
                if (excess := at.overflow(NARROW_PX)) > 0:
                    found[name].append(f"{excess} px too wide")

        at.page.goto(begun["verification_uri"])
        give_credentials(at, person)
        look("code")
        at.page.fill("#user_code", "BCDF-GHJK")
        at.send()
        look("unknown code")
        assert "No device waits" in at.page.inner_text("main")
        at.page.fill("#user_code", begun["user_code"].lower().replace("-", " "))
        at.send()
        look("question")
        assert begun["user_code"] in at.page.inner_text("main")
        assert "in front of you" in at.page.inner_text("main")
        at.send()
        look("done")
        assert "connected" in at.page.inner_text("h1")
    assert not any(found.values()), found
    answer = httpx.post(f"{server.issuer}/token", data=form)
    assert answer.status_code == httpx.codes.OK, answer.text
