"""What each rule finds: the line behind a comment that names it."""

import asyncio
import hmac
import logging
import os
import pickle
import re
import socket
import ssl
import subprocess
import tempfile

import aiohttp
import aiosmtplib
import httpx2
import jwt
import requests
import sqlalchemy
import yaml
from sqlalchemy import text
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

# found: engine-outside-the-database
engine = sqlalchemy.create_engine("sqlite://")


def read(session, connection, cursor, name):
    # found: engine-outside-the-database
    Session(engine)
    # found: sql-as-text
    connection.exec_driver_sql("SELECT 1")
    # found: sql-as-text
    session.execute(text("SELECT * FROM rules"))
    # found: sql-as-text, sql-with-values-in-it
    session.execute(text(f"SELECT * FROM rules WHERE title = '{name}'"))
    # found: sql-with-values-in-it
    cursor.execute("SELECT * FROM rules WHERE title = '%s'" % name)
    # found: sql-with-values-in-it
    text("SELECT * FROM {}".format(name))


async def send(url, host, port, loop):
    # found: http-client-past-the-guard
    aiohttp.ClientSession()
    # found: http-client-past-the-guard
    aiohttp.TCPConnector(limit=1)
    # found: http-client-past-the-guard
    httpx2.AsyncClient()
    # found: http-client-past-the-guard
    requests.post(url)
    # found: socket-past-the-guard
    await asyncio.open_connection(host, port)
    # found: socket-past-the-guard
    socket.create_connection((host, port))
    # found: socket-past-the-guard
    await loop.create_connection(asyncio.Protocol, host, port)
    # found: socket-past-the-guard
    aiosmtplib.SMTP(hostname=host)


def tell(secret, credential):
    # found: secret-told
    log.info("the secret is %s", secret.reveal())
    shown = f"the key {secret.reveal()}"
    # found: secret-told
    print(shown)
    # found: secret-told
    raise ValueError(f"{credential} isn't known")


def check(token, public, given, secret):
    # found: token-read-without-its-checks
    jwt.decode(token, public, algorithms=["RS256"])
    # found: token-read-without-its-checks
    jwt.decode(token, public, algorithms=["RS256"], audience="a")
    # found: token-read-without-its-checks
    jwt.decode(token, options={"verify_signature": False})
    # found: secrets-compared-in-a-telling-time
    if secret.reveal() == given:
        return True
    # found: secrets-compared-in-a-telling-time
    return given == hmac.digest(b"key", b"text", "sha256")


def trust(context, client, url):
    # found: tls-that-checks-nothing
    context.check_hostname = False
    # found: tls-that-checks-nothing
    context.verify_mode = ssl.CERT_NONE
    # found: tls-that-checks-nothing
    client.get(url, verify=False)


def run(command, body):
    # found: command-through-a-shell
    subprocess.run(command, shell=True)
    # found: command-through-a-shell
    os.system(command)
    # found: text-that-becomes-code
    eval(body)
    # found: text-that-becomes-code
    pickle.loads(body)
    # found: text-that-becomes-code
    yaml.load(body, Loader=yaml.Loader)


def match(pattern, body):
    # found: pattern-that-people-write
    re.compile(pattern)
    # found: pattern-that-people-write
    re.search(".*".join(pattern.split("*")), body)
    # found: check-that-may-be-left-out
    assert body
    # found: temporary-file-with-a-known-name
    return tempfile.mktemp()
