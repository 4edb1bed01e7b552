"""Delivery of messages to an SMTP server of the tests."""

import datetime
import logging
import ssl
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from app.core.config import ConfigError
from app.core.mail.messages import compose, dump, load
from app.core.mail.settings import Settings
from app.core.mail.smtp import TemporaryRefusalError, UndeliverableError, UnsafeServerError, deliver
from app.core.retries import PermanentError
from tests.core.mail.inbox import Serve


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS for a server on localhost, with a certificate that clients trust."""
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
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with capture_logs() as lines:
        yield lines
    structlog.configure(**before)


def settings(url: str | None, environment: str = "test") -> Settings:
    return Settings.model_validate({"environment": environment, "smtp_url": url, "mail_from": "service@example.com"})


def message(to: str = "ada@example.com", **options: Any) -> EmailMessage:
    return compose(to, "Hello", "Good morning", **options)


class TestDelivery:
    def test_message_arrives_with_headers_and_bodies(self, serve_mail: Serve) -> None:
        inbox, address = serve_mail()
        composed = compose("ada@example.com", "Grüße", "Good morning, Λ", name='Ada "Λ" Lovelace', html="<p>Λ</p>")
        deliver(composed, settings(f"smtp://{address}"))
        [arrived] = inbox.messages
        assert arrived["Subject"] == "Grüße"
        assert arrived["To"].addresses[0].display_name == 'Ada "Λ" Lovelace'
        assert arrived["To"].addresses[0].addr_spec == "ada@example.com"
        assert arrived["From"] == "service@localhost"
        assert arrived["Message-ID"].endswith("@localhost>")
        assert arrived["Date"].datetime.tzinfo
        bodies = [arrived.get_body((kind,)) for kind in ("plain", "html")]
        assert [body.get_content().strip() for body in bodies if body] == ["Good morning, Λ", "<p>Λ</p>"]

    def test_stored_message_arrives_unchanged(self, serve_mail: Serve) -> None:
        inbox, address = serve_mail()
        composed = compose("jörg@straße.de", "Grüße", "Guten Morgen, Jörg", name="Jörg")
        for sent in (composed, load(dump(composed))):
            deliver(sent, settings(f"smtp://{address}"))
        first, second = inbox.messages
        assert (first.items(), first.get_content()) == (second.items(), second.get_content())
        assert inbox.recipients[0] == inbox.recipients[1]

    @pytest.mark.parametrize("address", ["jörg@example.com", "用户@例え.jp"])
    def test_non_ascii_address_is_delivered(self, serve_mail: Serve, address: str) -> None:
        inbox, server = serve_mail()
        deliver(message(address), settings(f"smtp://{server}"))
        assert inbox.recipients == [address.replace("例え.jp", "xn--r8jz45g.jp")]

    def test_non_ascii_domain_needs_no_smtputf8(self, serve_mail: Serve) -> None:
        inbox, server = serve_mail(enable_SMTPUTF8=False)
        deliver(message("ada@straße.de"), settings(f"smtp://{server}"))
        assert inbox.recipients == ["ada@xn--strae-oqa.de"]

    def test_address_without_smtputf8_is_undeliverable(self, serve_mail: Serve) -> None:
        inbox, server = serve_mail(enable_SMTPUTF8=False)
        with pytest.raises(UndeliverableError, match=r"^localhost does not support SMTPUTF8") as refused:
            deliver(message("jörg@example.com"), settings(f"smtp://{server}"))
        assert isinstance(refused.value, PermanentError)
        assert inbox.messages == []

    @pytest.mark.parametrize("command", ["RCPT", "DATA"])
    @pytest.mark.parametrize(
        ("code", "kind", "sentence"),
        [
            (550, UndeliverableError, "localhost refuses the message permanently, with 550."),
            (451, TemporaryRefusalError, "localhost refuses the message for now, with 451."),
        ],
    )
    def test_5xx_refusal_is_permanent_and_names_no_address(
        self, serve_mail: Serve, command: str, code: int, kind: type[Exception], sentence: str
    ) -> None:
        inbox, server = serve_mail()
        inbox.answers[command] = f"{code} not for ada@example.com"
        with pytest.raises(kind) as refused:
            deliver(message(), settings(f"smtp://{server}"))
        assert isinstance(refused.value, PermanentError) is (code == 550)
        assert str(refused.value) == sentence
        assert refused.value.__suppress_context__, "the server's message contains the address"

    @pytest.mark.parametrize(
        "options", [{"name": "Ada\r\nBcc: everybody@example.com"}, {"subject": "Hello\nBcc: x@y.z"}]
    )
    def test_line_break_in_a_header_is_refused(self, options: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=r"invalid arguments|linefeed or carriage return"):
            compose(**{"to": "ada@example.com", "subject": "Hello", "text": "Hello"} | options)


class TestUnsent:
    def test_development_without_a_server_logs_the_message(self, lines: list[MutableMapping[str, Any]]) -> None:
        deliver(message(name="Ada", html="<p>Good morning</p>"), settings(None, "development"))
        [line] = lines
        assert (line["event"], line["to"], line["text"]) == ("e-mail", "Ada <ada@example.com>", "Good morning\n")

    @pytest.mark.parametrize(
        ("url", "environment", "reason"),
        [(None, "test", "SMTP_URL is not set"), ("off", "test", "SMTP_URL=off"), ("off", "production", "SMTP_URL=off")],
    )
    def test_log_of_unsent_message_has_no_address(
        self, lines: list[MutableMapping[str, Any]], url: str | None, environment: str, reason: str
    ) -> None:
        deliver(message(), settings(url, environment))
        assert lines == [{"event": "e-mail not sent", "reason": reason, "log_level": "warning"}]


class TestTls:
    def test_password_is_sent_under_tls(self, serve_mail: Serve, certificate: ssl.SSLContext) -> None:
        given: list[LoginPassword] = []

        def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
            given.append(data)
            return AuthResult(success=True)

        inbox, address = serve_mail(
            tls_context=certificate, require_starttls=True, authenticator=authenticate, auth_required=True
        )
        deliver(message(), settings(f"smtp://me:p%40ss@{address}", "production"))
        assert given == [LoginPassword(b"me", b"p@ss")]
        assert len(inbox.messages) == 1

    def test_smtps_uses_implicit_tls(self, serve_mail: Serve, certificate: ssl.SSLContext) -> None:
        inbox, address = serve_mail(ssl_context=certificate)
        deliver(message(), settings(f"smtps://{address}", "production"))
        assert len(inbox.messages) == 1

    def test_untrusted_certificate_is_refused(
        self, serve_mail: Serve, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inbox, address = serve_mail(tls_context=certificate)
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ssl.SSLCertVerificationError):
            deliver(message(), settings(f"smtp://{address}"))
        assert inbox.messages == []

    def test_production_refuses_a_server_without_tls(self, serve_mail: Serve) -> None:
        inbox, address = serve_mail()
        with pytest.raises(UnsafeServerError, match=r"^localhost does not offer TLS"):
            deliver(message(), settings(f"smtp://{address}", "production"))
        assert inbox.messages == []


class TestSettings:
    @pytest.mark.parametrize(
        ("environment", "sentence"),
        [
            ({"ENVIRONMENT": "production", "MAIL_FROM": "me@example.com"}, "SMTP_URL is required in production"),
            ({"ENVIRONMENT": "production", "SMTP_URL": "smtps://mail"}, "MAIL_FROM is required in production"),
            ({"SMTP_URL": "mail.example.com"}, "SMTP_URL is invalid: must look like smtp://"),
            (
                {"VERIFY_EMAIL": "true", "SMTP_URL": "off"},
                "VERIFY_EMAIL needs e-mail: set SMTP_URL to a server instead of",
            ),
            ({"MAIL_FROM": "invalid"}, "MAIL_FROM is invalid: must be an address"),
        ],
    )
    def test_unusable_setting_is_one_sentence(
        self, environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError) as refused:
            Settings.load()
        assert str(refused.value).startswith(sentence)
        assert len(str(refused.value).splitlines()) == 1

    def test_verification_without_mail_server_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, committed_database: str
    ) -> None:
        for name, value in {"VERIFY_EMAIL": "true", "SMTP_URL": "off", "PORT": "0"}.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-m", "app", "serve"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.strip().startswith("VERIFY_EMAIL needs e-mail: ")

    def test_production_starts_with_mail_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENVIRONMENT", "production")
        monkeypatch.setenv("SMTP_URL", "off")
        assert Settings.load().smtp_server is None
