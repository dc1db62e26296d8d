"""A function in its own network namespace serves HTTP on a port that the host also uses."""

import fcntl
import http.server
import os
import socket
import struct
import threading
import urllib.request

import ramet
from ramet import CloneFlag as F

SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # netdevice(7)


class Handler(http.server.BaseHTTPRequestHandler):
    """Says which server it is."""

    def do_GET(self) -> None:
        """Answer with the server's name."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.name)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's
        """Nothing is logged."""


def serve(name: bytes, port: int, ready: threading.Event) -> None:
    """Serve one request."""
    with http.server.HTTPServer(("127.0.0.1", port), Handler) as server:
        server.name = name  # type: ignore[attr-defined]
        ready.port = server.server_port  # type: ignore[attr-defined]
        ready.set()
        server.handle_request()


def get(port: int) -> bytes:
    """Ask the server on that port, in the caller's network namespace."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        return bytes(answer.read())


def serve_in_namespace(port: int, ready: threading.Event) -> None:
    """In its own network namespace: bring up its loopback device, and serve."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        fcntl.ioctl(device, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    serve(b"the child's", port, ready)


def main() -> None:
    """Two servers, one port, and the same memory."""
    here, there = threading.Event(), threading.Event()
    threading.Thread(target=serve, args=(b"the host's", 0, here), daemon=True).start()
    here.wait()
    port = here.port  # type: ignore[attr-defined]
    rights = F(0) if os.geteuid() == 0 else F.NEWUSER
    with ramet.clone(serve_in_namespace, port, there, flags=F.VM | F.NEWNET | rights) as child:
        if not there.wait(20):
            child.result(0)
        user = child.pid if rights else None
        print(get(port).decode(), "and", end=" ")
        print(ramet.in_namespace(get, port, user=user, net=child.pid).decode(), "on one port")
        child.result(20)


if __name__ == "__main__":
    main()
