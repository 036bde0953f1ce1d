"""Proxy for googleapis.com on loopback, since TensorFlow's own gs:// supports no emulator.

TensorFlow's client (libcurl) uses the proxy that `https_proxy` names. This proxy answers itself,
with a self-made certificate, and forwards requests to the bucket's emulator.
"""

import contextlib
import datetime
import http.client
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("www.googleapis.com", "storage.googleapis.com")
_HOP = ("connection", "transfer-encoding", "content-length", "proxy-connection", "expect")

_FLAT = b'{"hierarchicalNamespace": {"enabled": false}}'
_NOTHING = (
    b"--x\r\nContent-Type: application/json\r\n\r\n{}\r\n"
    b"--x\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"
)


@contextlib.contextmanager
def serve(emulator: str, folder: Path) -> Iterator[dict[str, str]]:
    """Runs the proxy.

    Args:
        emulator: URL of the bucket's emulator.
        folder: Where the certificate is written.

    Yields:
        What leads TensorFlow in a process here.
    """
    certificate = folder / "googleapis.pem"
    certificate.write_bytes(_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.context = context  # type: ignore[attr-defined]
    server.emulator = urlsplit(emulator).netloc  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield {
            "https_proxy": f"http://127.0.0.1:{server.server_address[1]}",
            "no_proxy": "",
            "CURL_CA_BUNDLE": str(certificate),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        if self.path.partition(":")[0] not in HOSTS:
            return self.send_error(403)
        self.send_response(200)
        self.end_headers()
        context: ssl.SSLContext = self.server.context  # type: ignore[attr-defined]
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]
        self.close_connection = False

    def _forward(self) -> None:
        body = self._body()
        if self.path.endswith("/storageLayout"):  # unknown to the emulator
            return self._answer(200, [("Content-Type", "application/json")], _FLAT)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in (*_HOP, "host")}
        if not body and "uploadType=media" in self.path:  # the emulator takes none without content
            self.path = self.path.replace("uploadType=media", "uploadType=multipart")
            headers["Content-Type"], body = "multipart/related; boundary=x", _NOTHING
        emulator: str = self.server.emulator  # type: ignore[attr-defined]
        connection = http.client.HTTPConnection(emulator)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self._answer(answer.status, answer.getheaders(), content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() == "location":  # where an upload goes on
                value = f"https://{HOSTS[0]}/{value.split('/', 3)[3]}"
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _forward

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _certificate() -> bytes:
    """A key and a certificate for `HOSTS` that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in HOSTS]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
