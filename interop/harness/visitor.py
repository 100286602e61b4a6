"""Someone with a browser that runs no scripts: keeps cookies, follows redirects, fills in the forms it is shown."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2 as httpx
from bs4 import BeautifulSoup, Tag

from harness.server import Client, Person, Server

MAX_REDIRECTS = 10
MAX_PAGES = 8


@dataclass(frozen=True)
class Arrival:
    """The browser was sent back to the application."""

    url: str

    @property
    def parameters(self) -> dict[str, str]:
        """The answer in the query, in which no name may stand twice."""
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True, strict_parsing=True)
        assert len(pairs) == len(dict(pairs)), f"a parameter is repeated in {self.url}"
        return dict(pairs)


@dataclass(frozen=True)
class Form:
    """A form of a page: what it would send, and which of its fields is for what."""

    action: str
    method: str
    values: dict[str, str]
    purposes: dict[str, str]  # autocomplete token → field name
    buttons: list[tuple[str, str]]  # name and value of each submit button, in order


@dataclass(frozen=True)
class Page:
    """A page of the server."""

    url: str
    status: int
    html: BeautifulSoup

    @property
    def title(self) -> str:
        """Its main heading."""
        heading = self.html.find("h1")
        return heading.get_text(" ", strip=True) if heading else ""

    def form(self) -> Form:
        """The form of the page's main part."""
        main = self.html.find("main")
        found = main.find("form") if isinstance(main, Tag) else None
        assert isinstance(found, Tag), f"no form on {self.url} ({self.status}): {self.html.get_text(' ', strip=True)}"
        inputs = [tag for tag in found.find_all("input") if isinstance(tag, Tag) and tag.get("name")]
        buttons = [tag for tag in found.find_all("button") if isinstance(tag, Tag) and tag.get("type") == "submit"]
        return Form(
            action=str(httpx.URL(self.url).join(str(found.get("action", "")))),
            method=str(found.get("method", "get")).upper(),
            values={str(tag["name"]): str(tag.get("value", "")) for tag in inputs},
            purposes={str(tag["autocomplete"]): str(tag["name"]) for tag in inputs if tag.get("autocomplete")},
            buttons=[(str(tag.get("name", "")), str(tag.get("value", ""))) for tag in buttons],
        )


@dataclass
class Visitor:
    """A browser with an empty cookie jar, on its way to an address that begins with one of `homes`."""

    homes: tuple[str, ...]
    pages: list[str] = field(default_factory=list)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def open(self, url: str) -> Page | Arrival:
        """Goes to an address."""
        return self._follow(self._http.build_request("GET", url))

    def submit(self, page: Page, values: dict[str, str], button: int = 0) -> Page | Arrival:
        """Sends the page's form with these values, by its n-th button."""
        form = page.form()
        data = form.values | values
        name, value = form.buttons[button]
        if name:
            data[name] = value
        assert form.method == "POST", f"the form of {page.url} is sent by {form.method}"
        target = httpx.URL(form.action)
        # As browsers say it of a page that keeps its address to itself.
        headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
        return self._follow(self._http.build_request("POST", target, data=data, headers=headers))

    def sign_in(self, url: str, person: Person, *, allow: bool = True, new_password: str = "") -> Arrival:
        """Goes to an address and does what each page asks for, until it is back at the application."""
        page = self.open(url)
        for _ in range(MAX_PAGES):
            if isinstance(page, Arrival):
                return page
            assert page.status == httpx.codes.OK, f"{page.title}: {page.html.get_text(' ', strip=True)}"
            purposes = page.form().purposes
            if "username" in purposes:
                self.pages.append("sign-in")
                known = {purposes["username"]: person.username, purposes["current-password"]: person.password}
                page = self.submit(page, known)
            elif "new-password" in purposes:
                self.pages.append("new password")
                fields = [tag["name"] for tag in page.html.select("input[autocomplete=new-password]")]
                page = self.submit(page, {str(name): new_password for name in fields})
            else:
                self.pages.append("consent")
                page = self.submit(page, {}, button=0 if allow else 1)
        raise AssertionError(f"never arrived; saw {self.pages}, last {page}")

    def sign_out(self, url: str) -> Arrival | Page:
        """Goes to the sign-out address, and says yes when asked."""
        page = self.open(url)
        if isinstance(page, Page) and page.html.select("main form"):
            self.pages.append("sign-out")
            page = self.submit(page, {})
        return page

    def _follow(self, request: httpx.Request) -> Page | Arrival:
        for _ in range(MAX_REDIRECTS):
            response = self._http.send(request)
            if not response.has_redirect_location:
                return Page(str(request.url), response.status_code, BeautifulSoup(response.text, "html.parser"))
            target = str(request.url.join(response.headers["location"]))
            if target.startswith(self.homes):
                return Arrival(target)
            assert response.status_code in {302, 303}, f"{request.url} redirects by {response.status_code}"
            request = self._http.build_request("GET", target)
        raise AssertionError(f"more than {MAX_REDIRECTS} redirects, last to {request.url}")


def sign_in(server: Server, client: Client, person: Person, scope: str = "") -> dict[str, Any]:
    """A token response, fetched without any library."""
    metadata = server.discovery()
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "client_id": client.client_id,
        "response_type": "code",
        "redirect_uri": client.redirect_uri,
        "scope": scope or client.scope,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    with Visitor((client.redirect_uri,)) as visitor:
        arrival = visitor.sign_in(f"{metadata['authorization_endpoint']}?{urlencode(query)}", person)
    form = {
        "grant_type": "authorization_code",
        "code": arrival.parameters["code"],
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier,
    }
    answer = httpx.post(metadata["token_endpoint"], data=form, auth=(client.client_id, client.secret or ""))
    token: dict[str, Any] = answer.raise_for_status().json()
    return token
