"""A small authorization server: it publishes metadata and keys over HTTP, and makes tokens with them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

RESOURCE = "https://alerts.example.org/mcp"
MAKERS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
JWK_OF: dict[str, Any] = {"RS256": RSAAlgorithm.to_jwk, "ES256": ECAlgorithm.to_jwk, "EdDSA": OKPAlgorithm.to_jwk}


@dataclass
class SigningKey:
    """A key pair with its id and algorithm."""

    id: str
    algorithm: str
    private: Any

    @classmethod
    def new(cls, key_id: str, algorithm: str = "ES256") -> "SigningKey":
        return cls(key_id, algorithm, MAKERS[algorithm]())

    @property
    def jwk(self) -> dict[str, Any]:
        public: dict[str, Any] = json.loads(JWK_OF[self.algorithm](self.private.public_key()))
        return public | {"kid": self.id, "use": "sig"}

    @property
    def pem(self) -> bytes:
        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


@dataclass
class AuthorizationServer:
    """What it publishes, and how often it was asked. `documents` are what paths answer."""

    url: str = ""
    published: list[SigningKey] = field(default_factory=lambda: [SigningKey.new("first")])
    asked: list[str] = field(default_factory=list)
    metadata_path: str = "/.well-known/oauth-authorization-server"
    metadata: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    """Sent in place of the key set."""
    status: int = 200
    answers: threading.Event = field(default_factory=threading.Event)
    """While it isn't set, requests wait."""
    posts: dict[str, Callable[[bytes], dict[str, Any]]] = field(default_factory=dict)
    """What is answered to a POST, by path."""
    drips: bool = False
    """Whether an answer goes on and on, a byte at a time."""

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a token says; None takes a claim away."""
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": RESOURCE, "sub": "auth0|ann", "iat": now, "exp": now + 300,
            "scope": "openid alerts:read alerts:write", "tenant": "acme",
        }  # fmt: skip
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def mint(self, signing: SigningKey | None = None, **changes: Any) -> str:
        """A token, signed with the first published key unless said otherwise."""
        signing = signing or self.published[0]
        return jwt.encode(
            self.claims(**changes), signing.private, algorithm=signing.algorithm, headers={"kid": signing.id}
        )

    def answer(self, path: str) -> bytes | None:
        """The body for a path; None if nothing is there."""
        self.asked.append(path)
        self.answers.wait(30)
        if path == self.metadata_path:
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.metadata).encode()
        if path == "/keys":
            return self.body or json.dumps({"keys": [key.jwk for key in self.published]}).encode()
        return None

    @property
    def key_fetches(self) -> int:
        return self.asked.count("/keys")


@contextmanager
def authorization_server() -> Iterator[AuthorizationServer]:
    """Runs one."""
    running = AuthorizationServer()
    running.answers.set()
    pause = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = running.answer(self.path)
            self.send_response(404 if body is None else running.status)
            self.end_headers()
            while running.drips and running.answers.is_set():
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return
                pause.wait(0.02)
            self.wfile.write(body or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            running.asked.append(self.path)
            answer = running.posts[self.path](body)
            self.send_response(201 if self.path == "/register" else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()
