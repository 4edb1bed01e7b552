"""E-mail, received by a server of the tests."""

import datetime
import logging
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, MutableMapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from app.about import ABOUT
from app.config import ConfigError
from app.jobs import PermanentError
from app.mail.service import UndeliverableError, UnsafeServerError, send, welcome_letter
from app.mail.settings import Settings


class Inbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers = {"RCPT": "250 OK", "DATA": "250 OK"}

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answers["RCPT"].startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.answers["RCPT"]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        return self.answers["DATA"]


type Serve = Callable[..., tuple[Inbox, str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an SMTP server; gives its inbox and where it listens."""
    started: list[Controller] = []
    # Its thread would still say that a connection is lost, or cut off, when the output of the test is closed.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)

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


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with capture_logs() as lines:
        yield lines
    structlog.configure(**before)


def settings(url: str | None, environment: str = "test") -> Settings:
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


@pytest.mark.parametrize("address", ["jörg@example.com", "用户@例え.jp"])
def test_an_address_beyond_ascii_gets_its_letter(serve: Serve, address: str) -> None:
    inbox, server = serve()
    send(welcome_letter("Jörg", address), settings(f"smtp://{server}"))
    assert inbox.recipients == [address.replace("例え.jp", "xn--r8jz45g.jp")]
    assert address in inbox.letters[0].get_content()


def test_a_domain_beyond_ascii_needs_nothing_of_the_server(serve: Serve) -> None:
    inbox, server = serve(enable_SMTPUTF8=False)
    send(welcome_letter("Ada", "ada@straße.de"), settings(f"smtp://{server}"))
    assert inbox.recipients == ["ada@xn--strae-oqa.de"]


def test_an_address_that_the_server_cannot_take_is_refused_for_good(serve: Serve) -> None:
    inbox, server = serve(enable_SMTPUTF8=False)
    with pytest.raises(UndeliverableError, match=r"^localhost takes addresses of ASCII alone") as refused:
        send(welcome_letter("Jörg", "jörg@example.com"), settings(f"smtp://{server}"))
    assert isinstance(refused.value, PermanentError)
    assert inbox.letters == []


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize(("code", "kind"), [(550, UndeliverableError), (451, smtplib.SMTPException)])
def test_only_what_the_server_refuses_for_good_is_not_tried_again(
    serve: Serve, command: str, code: int, kind: type[Exception]
) -> None:
    inbox, server = serve()
    inbox.answers[command] = f"{code} not for ada@example.com"
    with pytest.raises(kind) as refused:
        send(welcome_letter("Ada", "ada@example.com"), settings(f"smtp://{server}"))
    assert isinstance(refused.value, PermanentError) is (code == 550)
    if code == 550:
        assert str(refused.value) == "localhost refuses the letter for good, with 550."
        assert refused.value.__suppress_context__, "what the server said names the address"


def test_without_a_server_development_logs_a_letter(lines: list[MutableMapping[str, Any]]) -> None:
    send(welcome_letter("Ada", "ada@example.com"), settings(None, "development"))
    [line] = lines
    assert (line["event"], line["to"]) == ("e-mail", "Ada <ada@example.com>")
    assert "Hello Ada" in line["text"]


def test_without_a_server_nobody_is_named_elsewhere(lines: list[MutableMapping[str, Any]]) -> None:
    send(welcome_letter("Ada", "ada@example.com"), settings(None))
    assert lines == [{"event": "e-mail not sent", "reason": "SMTP_URL is not set", "log_level": "warning"}]


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
