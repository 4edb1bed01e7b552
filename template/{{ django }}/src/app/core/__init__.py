"""The public API of core for slices and their tests. Only a major release removes a name.

Names are imported on first use. Code of core imports the modules of core directly.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.core.accounts.access import change_account, issue_access_token, log_in, register_user
    from app.core.accounts.auth.identity import maybe_logged_in, require_log_in, require_scope
    from app.core.accounts.events import deactivated, erased, exporting, registered
    from app.core.accounts.models import User
    from app.core.accounts.schemas import EmailAddress
    from app.core.concurrency import bounded_map, bounded_stream
    from app.core.config import ABOUT, API_PREFIX, ConfigError, Environment, Settings
    from app.core.database.repository import BaseRepository, Repository
    from app.core.http.headers import require_match, tagged
    from app.core.http.limits.bodies import max_body_size
    from app.core.http.openapi.document import problem_responses
    from app.core.http.pagination import OffsetPaginator, Paginator
    from app.core.http.state import PublicRequest, Request
    from app.core.idempotency.responses import idempotent
    from app.core.lazy import lazily
    from app.core.observability.calls import OutgoingCall
    from app.core.observability.telemetry import calling
    from app.core.problems import (
        BadRequest,
        Conflict,
        ContentTooLarge,
        ErrorBody,
        FieldError,
        Forbidden,
        NotFound,
        Problem,
        ProblemError,
        TooManyRequests,
        Unauthorized,
        Unavailable,
        Unprocessable,
        UnsupportedMediaType,
    )
    from app.core.retries import retry
    from app.core.schemas import (
        UNCHANGED,
        BaseSchema,
        DateRange,
        DiscriminatedBy,
        ListQuery,
        OffsetPage,
        Page,
        QuerySchema,
        sort_by,
    )
    from app.core.security.bearer import ADMIN
    from app.core.security.passwords import NewPassword, Password
    from app.core.security.users import CurrentUser
    from app.core.security.webhooks import BadSignature, verify_webhook
    from app.core.types import (
        BodyId,
        Day,
        Flag,
        LongText,
        Money,
        NonNegativeInt,
        PathId,
        PositiveInt,
        ShortText,
        UtcDatetime,
    )
    from app.core.values import WebhookSecrets
else:
    from app.core.lazy import lazily

    __getattr__ = lazily(
        __name__,
        {
            "accounts.access": ["change_account", "issue_access_token", "log_in", "register_user"],
            "accounts.auth.identity": ["maybe_logged_in", "require_log_in", "require_scope"],
            "accounts.events": ["deactivated", "erased", "exporting", "registered"],
            "accounts.models": ["User"],
            "accounts.schemas": ["EmailAddress"],
            "concurrency": ["bounded_map", "bounded_stream"],
            "config": ["ABOUT", "API_PREFIX", "ConfigError", "Environment", "Settings"],
            "database.repository": ["BaseRepository", "Repository"],
            "http.limits.bodies": ["max_body_size"],
            "http.openapi.document": ["problem_responses"],
            "http.pagination": ["OffsetPaginator", "Paginator"],
            "http.headers": ["require_match", "tagged"],
            "http.state": ["PublicRequest", "Request"],
            "idempotency.responses": ["idempotent"],
            "lazy": ["lazily"],
            "observability.calls": ["OutgoingCall"],
            "observability.telemetry": ["calling"],
            "problems": [
                "BadRequest",
                "Conflict",
                "ContentTooLarge",
                "ErrorBody",
                "FieldError",
                "Forbidden",
                "NotFound",
                "Problem",
                "ProblemError",
                "TooManyRequests",
                "Unauthorized",
                "Unavailable",
                "Unprocessable",
                "UnsupportedMediaType",
            ],
            "retries": ["retry"],
            "schemas": [
                "UNCHANGED",
                "BaseSchema",
                "DateRange",
                "DiscriminatedBy",
                "ListQuery",
                "OffsetPage",
                "Page",
                "QuerySchema",
                "sort_by",
            ],
            "security.passwords": ["NewPassword", "Password"],
            "security.bearer": ["ADMIN"],
            "security.users": ["CurrentUser"],
            "security.webhooks": ["BadSignature", "verify_webhook"],
            "types": [
                "BodyId",
                "Day",
                "Flag",
                "LongText",
                "Money",
                "NonNegativeInt",
                "PathId",
                "PositiveInt",
                "ShortText",
                "UtcDatetime",
            ],
            "values": ["WebhookSecrets"],
        },
    )

__all__ = [
    "ABOUT",
    "ADMIN",
    "API_PREFIX",
    "UNCHANGED",
    "BadRequest",
    "BadSignature",
    "BaseRepository",
    "BaseSchema",
    "BodyId",
    "ConfigError",
    "Conflict",
    "ContentTooLarge",
    "CurrentUser",
    "DateRange",
    "Day",
    "DiscriminatedBy",
    "EmailAddress",
    "Environment",
    "ErrorBody",
    "FieldError",
    "Flag",
    "Forbidden",
    "ListQuery",
    "LongText",
    "Money",
    "NewPassword",
    "NonNegativeInt",
    "NotFound",
    "OffsetPage",
    "OffsetPaginator",
    "OutgoingCall",
    "Page",
    "Paginator",
    "Password",
    "PathId",
    "PositiveInt",
    "Problem",
    "ProblemError",
    "PublicRequest",
    "QuerySchema",
    "Repository",
    "Request",
    "Settings",
    "ShortText",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Unprocessable",
    "UnsupportedMediaType",
    "User",
    "UtcDatetime",
    "WebhookSecrets",
    "bounded_map",
    "bounded_stream",
    "calling",
    "change_account",
    "deactivated",
    "erased",
    "exporting",
    "idempotent",
    "issue_access_token",
    "lazily",
    "log_in",
    "max_body_size",
    "maybe_logged_in",
    "problem_responses",
    "register_user",
    "registered",
    "require_log_in",
    "require_match",
    "require_scope",
    "retry",
    "sort_by",
    "tagged",
    "verify_webhook",
]
