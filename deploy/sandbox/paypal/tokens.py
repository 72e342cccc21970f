"""OAuth2 with client credentials, as PayPal gives its access tokens."""

from __future__ import annotations

import base64
import binascii
import hmac
import time

from deploy.sandbox.chance import Chance
from deploy.sandbox.party import Answer, Ask, as_json
from deploy.sandbox.paypal.faults import PayPalFault
from deploy.sandbox.paypal.ledger import now

_LIFE_SECONDS = 32400


class Tokens:
    """Gives and checks access tokens of one client."""

    def __init__(self, chance: Chance, client_id: str, client_secret: str) -> None:
        self._chance = chance
        self._credentials = f"{client_id}:{client_secret}".encode()
        self._good_until: dict[str, float] = {}
        self._number = 0

    def give(self, ask: Ask) -> Answer:
        """Answer `POST /v1/oauth2/token`."""
        scheme, _, credentials = ask.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(credentials, validate=True)
        except (binascii.Error, ValueError):
            given = b""
        if scheme.lower() != "basic" or not hmac.compare_digest(given, self._credentials):
            return as_json(401, {"error": "invalid_client", "error_description": "Client Authentication failed"})
        if b"grant_type=client_credentials" not in ask.body:
            return as_json(400, {"error": "unsupported_grant_type", "error_description": "Grant Type is missing or unknown"})
        self._number += 1
        token = "A21AA" + self._chance.identifier(24, "token", self._number)
        self._good_until[token] = time.monotonic() + _LIFE_SECONDS
        body = {
            "scope": "https://uri.paypal.com/services/payments/payment/authcapture",
            "access_token": token,
            "token_type": "Bearer",
            "app_id": "APP-SANDBOX",
            "expires_in": _LIFE_SECONDS,
            "nonce": f"{now()}{self._number}",
        }
        return as_json(200, body)

    def check(self, ask: Ask) -> None:
        """Raises PayPalFault (401) where the request has no good token."""
        scheme, _, token = ask.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self._good_until.get(token, 0.0) < time.monotonic():
            raise PayPalFault(401, "INVALID_ACCESS_TOKEN")

    def expire(self) -> None:
        """End all tokens given so far."""
        self._good_until.clear()
