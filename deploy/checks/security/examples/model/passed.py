"""What a model may do."""

import secrets
from datetime import datetime


def decide(now: int, text: str):
    return now, datetime.fromisoformat(text), secrets.token_bytes(32)
