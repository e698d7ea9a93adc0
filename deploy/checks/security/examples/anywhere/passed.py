"""What the rules let pass: nothing may be found here."""

import asyncio
import hmac
import logging
import random
import re
import subprocess
import tempfile
import time

import aiohttp
import aiosmtplib
import jwt
import yaml
from sqlalchemy import select, text

from monitors.mesh.outbound import connect, socket_for

log = logging.getLogger(__name__)
WORD = "[a-z]+"


def read(session, rules, name):
    session.execute(select(rules).where(rules.c.title == name))
    return text("SELECT * FROM rules WHERE title = :name")


async def send(host, port, loop, checked):
    connector = aiohttp.TCPConnector(limit=1, socket_factory=socket_for)
    aiohttp.ClientSession(connector=connector, trust_env=False)
    await loop.create_connection(asyncio.Protocol, sock=checked)
    return aiosmtplib.SMTP(hostname=host, sock=await connect(host, port))


def tell(secret, key, credential, sealer, requests):
    log.info("the secret %s, which is %s", sealer.fingerprint(secret), secret)
    requests.find(key.key_id)
    if not credential:
        raise ValueError("there is no credential")


def check(token, public, given, secret):
    jwt.decode(token, public, algorithms=["RS256"], audience="a", options={"require": ["exp"]})
    return hmac.compare_digest(secret.reveal(), given)


def run(command, body):
    subprocess.run(["git", command], check=True)
    return yaml.load(body, Loader=yaml.SafeLoader)


def match(body):
    re.search("[a-z]+", body)
    re.compile(WORD)
    re.compile(f"{WORD}(?:/{WORD})*")
    with tempfile.TemporaryDirectory() as folder:
        return folder


def pause():
    # Only models may not look at the clock.
    return time.monotonic() + random.random()
