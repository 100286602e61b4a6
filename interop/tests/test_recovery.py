"""A forgotten password and an unconfirmed address, with mail that Python reads and pages that Chromium shows."""

import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from harness.chromium import Window, launch, window
from harness.mailbox import Mailbox, link_of
from harness.server import Server

USERNAME = "input[autocomplete=username]:visible"
CURRENT = "input[autocomplete=current-password]"
NEW = "input[autocomplete=new-password]"
NARROW_PX = 320


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


def find_faults(at: Window) -> None:
    """axe-core finds nothing, and the page fits a narrow window."""
    assert not at.faults(), at.page.url
    assert at.overflow(NARROW_PX) <= 0, at.page.url


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_forgotten_password(server: Server, mailbox: Mailbox, browser: Browser, scripts: bool) -> None:
    """From the sign-in page to the mailbox and back, and in with the new password; the link works once."""
    person = server.new_person()
    chosen = f"another staple {secrets.token_hex(6)}"

    def look(at: Window) -> None:
        if scripts:  # axe-core is one
            find_faults(at)

    with window(browser, java_script_enabled=scripts) as at:
        at.page.goto(f"{server.url}/signin")
        at.page.click("main a[href$='/forgot']")
        look(at)
        at.page.fill(USERNAME, person.email)
        at.send()
        look(at)
        message = mailbox.to(person.email)
        assert message["from"].addresses[0].addr_spec == "keys@id.example"
        link = link_of(message)
        assert link.startswith(f"{server.url}/reset?token=")
        at.page.goto(link)
        assert at.page.url == f"{server.url}/reset", "the token has left the address line"
        assert link.split("=")[1] not in at.page.content()
        look(at)
        for field in at.page.query_selector_all(NEW):
            field.fill("short")
        at.send()
        at.page.wait_for_selector("[role=alert]")
        look(at)
        for field in at.page.query_selector_all(NEW):
            field.fill(chosen)
        at.send()
        look(at)
        at.page.goto(link)
        assert not at.page.query_selector(NEW), "the link works once"
        look(at)
        for password, address in ((person.password, "signin"), (chosen, "account")):
            at.page.goto(f"{server.url}/signin")
            at.page.fill(USERNAME, person.username)
            at.page.fill(CURRENT, password)
            at.send()
            assert at.page.url == f"{server.url}/{address}"


def test_confirms_an_address(server: Server, mailbox: Mailbox, browser: Browser) -> None:
    """Asked for on the account page, confirmed by a button: opening the link is not enough."""
    person = server.new_person()
    email = f"new-{person.email}"
    created = ["user", "create", "--username", f"{person.username}-2", "--email", email, "--password-stdin"]
    server.command(*created, stdin=person.password)
    with window(browser) as at:
        at.page.goto(f"{server.url}/signin")
        at.page.fill(USERNAME, email)
        at.page.fill(CURRENT, person.password)
        at.send()
        find_faults(at)
        with at.page.expect_navigation():
            at.page.click("form[action$='/account/email/verify'] button")
        find_faults(at)
        link = link_of(mailbox.to(email))
    with window(browser) as at:
        at.page.goto(link)
        assert at.page.url == f"{server.url}/verify"
        find_faults(at)
        assert not server.command("user", "show", email)["email_verified"]
        at.send()
        find_faults(at)
        assert server.command("user", "show", email)["email_verified"]
