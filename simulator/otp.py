"""One-time passwords of NerdOS: PATCH /api/system requires one when the user has switched them on."""

from __future__ import annotations

from dataclasses import dataclass, field

from .http_messages import HTML, Reply, Request

MAX_FAILURES = 5
BLOCK_SECONDS = 300.0


@dataclass
class OneTimePasswords:
    """One-time password state of one miner. `code` is the code that the authenticator shows; it never changes."""

    enabled: bool
    code: str
    sessions: set[str] = field(default_factory=set)
    failures: int = 0
    blocked_until: float = 0.0

    def is_code_correct(self, code: str) -> bool:
        """Return True if `code` is the present code."""
        return code == self.code

    def check_request(self, request: Request, now: float) -> Reply | None:
        """Return the refusal of a request, or None if it is accepted."""
        if not self.enabled:
            return None
        if now < self.blocked_until:
            return self.refuse_request(now)
        if request.headers.get("x-otp-session") in self.sessions:
            return None
        if self.is_code_correct(request.headers.get("x-totp", "")):
            self.failures = 0
            return None
        self.failures += 1
        if self.failures >= MAX_FAILURES:
            self.blocked_until, self.failures = now + BLOCK_SECONDS, 0
        return self.refuse_request(now)

    def refuse_request(self, now: float) -> Reply:
        """Return a 401 with its reason."""
        text = b"blocked for 5 minutes" if now < self.blocked_until else b"OTP/Session required"
        return Reply(401, text, HTML)
