"""What the static program meets in an empty root, on this machine's loopback: a DNS server that knows names of a cluster, a
git server with TLS and an API server. Arguments: certificate, key, log. In a network namespace of its own (scripts/dist-check).
"""

import http.server
import signal
import socketserver
import ssl
import sys
import threading

ADDRESS = "127.0.0.1"
# Found by the search list only: git is git.qa.…, api.ops is api.ops.svc.….
KNOWN = {"git.qa.svc.cluster.local", "api.ops.svc.cluster.local"}
COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f80912345678"
certificate, key, log = sys.argv[1:]
lock = threading.Lock()


def note(*words: str) -> None:
    with lock, open(log, "a") as file:
        print(*words, file=file)


class Dns(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        packet, socket = self.request
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        name, question = ".".join(labels).lower(), packet[12 : at + 5]
        is_a, is_known = packet[at + 1 : at + 3] == b"\0\1", name in KNOWN
        note("dns", name)
        # Answered, recursion; or with "no such name".
        flags, count = (b"\x81\x80" if is_known else b"\x81\x83"), (1 if is_known and is_a else 0)
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes(map(int, ADDRESS.split("."))) if count else b""
        head = packet[:2] + flags + b"\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0"
        socket.sendto(head + question + answer, self.client_address)


def line(text: str) -> bytes:
    return f"{len(text) + 5:04x}{text}\n".encode()


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(line("version 2") + line("ls-refs") + line("fetch=shallow filter") + line("object-format=sha1") + b"0000", "advertisement")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(line(f"{COMMIT} refs/heads/main") + b"0000", "result")

    def answer(self, body: bytes, kind: str) -> None:
        note(type(self).__name__.lower(), self.headers["Host"], self.path)
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Api(Http):
    def do_GET(self) -> None:
        self.answer(b'{"major":"1","minor":"32","gitVersion":"v1.32.0"}', "version")

    do_POST = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
git = Server((ADDRESS, 443), Http)
git.socket = context.wrap_socket(git.socket, server_side=True)
servers = [git, Server((ADDRESS, 6443), Api), socketserver.ThreadingUDPServer((ADDRESS, 53), Dns)]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
note("ready")
signal.pause()
