"""E-mail, received by a server of the tests."""

import datetime
import socket
import ssl
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.about import ABOUT
from app.config import ConfigError
from app.mail.service import UnsafeServerError, send, welcome_letter
from app.mail.settings import Settings


class Inbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"


type Serve = Callable[..., tuple[Inbox, str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an SMTP server; gives its inbox and where it listens."""
    started: list[Controller] = []

    def serve(**options: Any) -> tuple[Inbox, str]:
        inbox = Inbox()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
        controller.start()
        started.append(controller)
        return inbox, f"localhost:{port}"

    yield serve
    for controller in started:
        controller.stop()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS for a server on localhost that clients trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return context


def settings(url: str, environment: str = "test") -> Settings:
    return Settings.model_validate({"environment": environment, "smtp_url": url, "mail_from": "service@example.com"})


def test_a_letter_arrives(serve: Serve) -> None:
    inbox, address = serve()
    send(welcome_letter('Ada "Λ" Lovelace', "ada@example.com"), settings(f"smtp://{address}"))
    [letter] = inbox.letters
    assert letter["Subject"] == f"Welcome to {ABOUT.title}"
    assert letter["To"].addresses[0].display_name == 'Ada "Λ" Lovelace'
    assert letter["To"].addresses[0].addr_spec == "ada@example.com"
    assert letter["From"] == "service@example.com"
    assert letter["Message-ID"].endswith("@example.com>")
    assert letter["Date"].datetime.tzinfo
    assert 'Hello Ada "Λ" Lovelace,' in letter.get_content()


def test_a_name_cannot_write_headers() -> None:
    with pytest.raises(ValueError, match=r"invalid arguments"):
        welcome_letter("Ada\r\nBcc: everybody@example.com", "ada@example.com")


def test_passwords_travel_under_tls(serve: Serve, certificate: ssl.SSLContext) -> None:
    given: list[LoginPassword] = []

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given.append(data)
        return AuthResult(success=True)

    inbox, address = serve(
        tls_context=certificate, require_starttls=True, authenticator=authenticate, auth_required=True
    )
    send(welcome_letter("Ada", "ada@example.com"), settings(f"smtp://me:p%40ss@{address}", "production"))
    assert given == [LoginPassword(b"me", b"p@ss")]
    assert len(inbox.letters) == 1


def test_tls_from_the_first_byte(serve: Serve, certificate: ssl.SSLContext) -> None:
    inbox, address = serve(ssl_context=certificate)
    send(welcome_letter("Ada", "ada@example.com"), settings(f"smtps://{address}", "production"))
    assert len(inbox.letters) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(
    serve: Serve, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, address = serve(tls_context=certificate)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ssl.SSLCertVerificationError):
        send(welcome_letter("Ada", "ada@example.com"), settings(f"smtp://{address}"))
    assert inbox.letters == []


def test_production_refuses_a_server_without_tls(serve: Serve) -> None:
    inbox, address = serve()
    with pytest.raises(UnsafeServerError, match=r"^localhost offers no TLS"):
        send(welcome_letter("Ada", "ada@example.com"), settings(f"smtp://{address}", "production"))
    assert inbox.letters == []


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"ENVIRONMENT": "production", "MAIL_FROM": "me@example.com"}, "SMTP_URL is required in production"),
        ({"ENVIRONMENT": "production", "SMTP_URL": "smtps://mail"}, "MAIL_FROM is required in production"),
        ({"SMTP_URL": "mail.example.com"}, "SMTP_URL is not usable: must look like smtp://"),
        ({"MAIL_FROM": "somebody"}, "MAIL_FROM is not usable: must be an address"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        Settings.load()
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value).splitlines()) == 1
