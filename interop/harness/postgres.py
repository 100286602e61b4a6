"""A PostgreSQL cluster that lives as long as the tests, made from the binaries of Debian's package."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness.ports import free_port

OWNER = "keyreeve"
# Durability is proven elsewhere; here it would only cost time.
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}


def binaries() -> Path:
    """The directory of `initdb` and `postgres`, the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if not on_path:
        raise RuntimeError("PostgreSQL is missing: run scripts/deps, or install the Debian package postgresql")
    return Path(on_path).resolve().parent


class Cluster:
    """A cluster on a free port of 127.0.0.1, with password authentication."""

    def __init__(self) -> None:
        self._bin = binaries()
        self._home = Path(tempfile.mkdtemp(prefix="keyreeve-pg-"))
        self._password = secrets.token_hex(16)
        self._user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        self._port = free_port()
        self._databases = 0
        if self._user:
            shutil.chown(self._home, self._user, self._user)
        try:
            self._init()
            self._process = self._start()
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise

    def _init(self) -> None:
        password_file = self._home / "password"
        password_file.write_text(self._password)
        if self._user:
            shutil.chown(password_file, self._user)
        command: list[str | Path] = [self._bin / "initdb", "--pgdata", self._home / "data", "--username", OWNER]
        command += ["--pwfile", password_file, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run(command)

    def _start(self) -> subprocess.Popen[bytes]:
        settings = SETTINGS | {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._home)}
        command: list[str | Path] = [self._bin / "postgres", "-D", self._home / "data", "-p", str(self._port)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._home / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._home, user=self._user, group=self._user
            )
        ready: list[str | Path] = [self._bin / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self._port}"]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return process
            if process.poll() is not None:
                break
            time.sleep(0.1)
        process.kill()
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._home / 'log').read_text()}")

    def _run(self, command: list[str | Path], password: str | None = None) -> None:
        environment = os.environ | ({"PGPASSWORD": password} if password else {})
        done = subprocess.run(
            command,
            cwd=self._home,
            env=environment,
            user=self._user,
            group=self._user,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stdout}")

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"keyreeve_{self._databases}"
        command: list[str | Path] = [
            self._bin / "createdb",
            "--host=127.0.0.1",
            f"--port={self._port}",
            f"--username={OWNER}",
            name,
        ]
        self._run(command, password=self._password)
        return f"postgres://{OWNER}:{self._password}@127.0.0.1:{self._port}/{name}"

    def stop(self) -> None:
        """Ends it, whatever is still connected, and removes its files."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=30)
        shutil.rmtree(self._home)
