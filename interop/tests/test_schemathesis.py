"""Schemathesis (PyPI) reads the OpenAPI document and asks every operation what it makes up from it."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx

from harness.server import Server
from harness.visitor import sign_in

EXAMPLES = 6
RUN_S = 400
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# How it sends what it has no serializer for.
HOOKS = {"SCHEMATHESIS_HOOKS": "harness.serializers", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def probe(server: Server, token: str, folder: Path, *selection: str) -> None:
    """Holds these operations to what the document says of them; what it remembers goes into the folder."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/api/v1/openapi.json"]
    command += ["--url", server.url, "--header", f"Authorization: Bearer {token}"]
    command += ["--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--checks", CHECKS]
    command += [*selection, "--workers", "1", "--seed", "1", "--no-color"]
    environment = os.environ | HOOKS
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_no_undocumented_answer(doomed_server: Server, tmp_path: Path) -> None:
    """No operation fails, answers with what its document does not say, or in another shape."""
    server = doomed_server
    scope = "keyreeve:me:read keyreeve:me:write"
    wanted = [part for name in ("openid", *scope.split()) for part in ("--scope", name)]
    client = server.new_client("client_secret_basic", "--first-party", *wanted)
    own = sign_in(server, client, server.new_person(), f"openid {scope}")["access_token"]
    # To end the session is to end the token.
    probe(server, own, tmp_path, "--include-path-regex", "^/api/v1/me", "--exclude-method", "DELETE")

    first = server.first_start["client"]
    credentials = (first["client_id"], first["client_secret"])
    answer = httpx.post(f"{server.url}/token", data={"grant_type": "client_credentials"}, auth=credentials)
    probe(server, answer.raise_for_status().json()["access_token"], tmp_path)
