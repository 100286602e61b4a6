"""Schemathesis (PyPI) reads the OpenAPI document and asks every operation what it makes up from it."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx

from harness.server import Server

# What makes keys or removes what the run itself needs is asked by the acceptance tests.
SPARED = "/keys/rotate"
EXAMPLES = 6
RUN_S = 240
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# How it sends what it has no serializer for.
HOOKS = {"SCHEMATHESIS_HOOKS": "harness.serializers", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def test_no_undocumented_answer(doomed_server: Server) -> None:
    """No operation fails, answers with what its document does not say, or in another shape."""
    server = doomed_server
    client = server.first_start["client"]
    credentials = (client["client_id"], client["client_secret"])
    answer = httpx.post(f"{server.url}/token", data={"grant_type": "client_credentials"}, auth=credentials)
    token = answer.raise_for_status().json()["access_token"]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/api/v1/openapi.json"]
    command += ["--url", server.url, "--header", f"Authorization: Bearer {token}"]
    command += ["--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--checks", CHECKS]
    command += ["--exclude-path-regex", SPARED, "--workers", "4", "--seed", "1", "--no-color"]
    done = subprocess.run(command, env=os.environ | HOOKS, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
