"""The real `keyreeve` binary: set up, serving, and provisioned through its own command line."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx

from harness.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
START_S = 30
STOP_S = 30
COMMAND_S = 60


def binary() -> Path:
    """The server under test: KEYREEVE_TEST_BINARY, or what `cargo build` made."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    path = Path(os.environ.get("KEYREEVE_TEST_BINARY", target / "debug" / "keyreeve"))
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: cargo build --package keyreeve")
    return path


@dataclass(frozen=True)
class Person:
    """Someone with an account."""

    id: str
    username: str
    email: str
    password: str


@dataclass(frozen=True)
class Client:
    """A relying party as it was registered."""

    client_id: str
    secret: str | None
    auth_method: str
    redirect_uri: str
    post_logout_redirect_uri: str
    scope: str


class CommandError(Exception):
    """A command that did not end with 0."""


class Server:
    """One installation, with its own data directory and port."""

    def __init__(
        self, database_url: str | None, smtp_url: str | None = None, more: dict[str, str] | None = None
    ) -> None:
        self._binary = binary()
        self._home = Path(tempfile.mkdtemp(prefix="keyreeve-"))
        self._log = self._home / "log"
        self._process: subprocess.Popen[bytes] | None = None
        listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{listen}"
        settings = {
            "KEYREEVE_DATA_DIR": str(self._home / "data"),
            "KEYREEVE_LISTEN": listen,
            "KEYREEVE_PUBLIC_URL": self.url,
            "KEYREEVE_LOG": "info",
            # What the tests have the server call listens on this machine.
            "KEYREEVE_ALLOW_PRIVATE_FETCH": "1",
        }
        if smtp_url:
            settings |= {"KEYREEVE_SMTP_URL": smtp_url, "KEYREEVE_MAIL_FROM": "Keys <keys@id.example>"}
        if database_url:
            settings["KEYREEVE_DATABASE_URL"] = database_url
        settings |= more or {}
        # Nothing of the caller's own settings: the tests are about this installation.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEYREEVE_")}
        self._environment = inherited | settings
        self.first_start: dict[str, Any] = self.command("init")
        self.issuer: str = self.first_start["issuer"]

    def command(self, *arguments: str, stdin: str = "") -> Any:  # noqa: ANN401 (each command has a shape of its own)
        """Runs `keyreeve ARGUMENTS --json` and reads its answer."""
        done = subprocess.run(
            [self._binary, *arguments, "--json"],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise CommandError(f"keyreeve {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def start(self) -> None:
        """Serves, and returns when it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._binary, "serve"], env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self._process.kill()
        raise RuntimeError(f"the server did not become ready:\n{self.log()}")

    def stop(self) -> None:
        """Asks it to stop, and holds it to stopping cleanly."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            code = process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server did not stop within {STOP_S} s:\n{self.log()}") from None
        if code:
            raise RuntimeError(f"the server ended with {code}:\n{self.log()}")

    def remove(self) -> None:
        """Deletes its files."""
        shutil.rmtree(self._home)

    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text() if self._log.exists() else ""

    def discovery(self) -> dict[str, Any]:
        """The provider's metadata."""
        answer = httpx.get(f"{self.issuer}/.well-known/openid-configuration")
        document: dict[str, Any] = answer.raise_for_status().json()
        return document

    def new_person(self, *flags: str) -> Person:
        """A user with a password."""
        username = f"ada-{secrets.token_hex(4)}"
        email, password = f"{username}@example.com", f"correct horse {secrets.token_hex(6)}"
        user = ["user", "create", "--username", username, "--email", email, "--email-verified"]
        names = ["--given-name", "Ada", "--family-name", "Lovelace", "--display-name", "Ada Lovelace"]
        created = self.command(*user, *names, "--password-stdin", *flags, stdin=password)
        return Person(created["id"], username, email, password)

    def new_client(self, auth_method: str, *flags: str, redirect_uri: str = "https://rp.example/callback") -> Client:
        """A relying party that signs users in; `auth_method` as OpenID names it, `none` for a public client."""
        farewell = redirect_uri.removesuffix("callback") + "goodbye"
        scope = "openid profile email offline_access"
        command = ["client", "create", "--name", "Library card", "--redirect-uri", redirect_uri]
        command += ["--post-logout-redirect-uri", farewell]
        command += ["--public"] if auth_method == "none" else ["--auth-method", auth_method]
        created = self.command(*command, *flags)
        secret = created.get("client_secret")
        return Client(created["client_id"], secret, auth_method, redirect_uri, farewell, scope)
