"""NerdOS's one-time passwords: what PATCH /api/system asks for when the user switched them on."""

from __future__ import annotations

from dataclasses import dataclass, field

from .http import HTML, Reply, Request

MAX_FAILURES = 5
BLOCK_SECONDS = 300.0


@dataclass
class OneTimePasswords:
    """The state of one miner. `code` stands for what the authenticator would show now."""

    enabled: bool
    code: str
    sessions: set[str] = field(default_factory=set)
    failures: int = 0
    blocked_until: float = 0.0

    def code_is_right(self, given: str) -> bool:
        """Whether `given` is the six digits of now."""
        return given == self.code

    def check(self, request: Request, now: float) -> Reply | None:
        """The refusal, or None when the request may pass."""
        if not self.enabled:
            return None
        if now < self.blocked_until:
            return self.refusal(now)
        if request.headers.get("x-otp-session") in self.sessions:
            return None
        if self.code_is_right(request.headers.get("x-totp", "")):
            self.failures = 0
            return None
        self.failures += 1
        if self.failures >= MAX_FAILURES:
            self.blocked_until, self.failures = now + BLOCK_SECONDS, 0
        return self.refusal(now)

    def refusal(self, now: float) -> Reply:
        """401 in words."""
        text = b"blocked for 5 minutes" if now < self.blocked_until else b"OTP/Session required"
        return Reply(401, text, HTML)
