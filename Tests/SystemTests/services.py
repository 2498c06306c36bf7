"""What the guest reaches on the host's loopback: a Debian repository behind HTTP, and a name server."""
import functools
import hashlib
import http.server
import pathlib
import socket
import struct
import subprocess
import threading

PACKAGE = "martlet-greeting"
GREETING = "greetings from the host's repository"
DOMAIN = "packages.martlet.test"


def make_repository(directory, blob_byte_count):
    """A repository with one package, and a file of many bytes beside it; returns that file's digest."""
    tree = directory / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr" / "share").mkdir(parents=True)
    control = (f"Package: {PACKAGE}\nVersion: 1.0\nArchitecture: all\nMaintainer: Martlet <root@localhost>\n"
               "Description: says that it came through\n")
    (tree / "DEBIAN" / "control").write_text(control)
    (tree / "usr" / "share" / PACKAGE).write_text(GREETING + "\n")
    site = directory / "site"
    site.mkdir()
    package = site / f"{PACKAGE}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, capture_output=True)
    data = package.read_bytes()
    index = (control + f"Filename: ./{package.name}\nSize: {len(data)}\n"
             f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n").encode()
    (site / "Packages").write_bytes(index)
    (site / "Release").write_text(
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n")
    blob = b"".join(hashlib.sha512(number.to_bytes(8, "big")).digest() for number in range(blob_byte_count // 64))
    (site / "blob").write_bytes(blob)
    return site, hashlib.sha256(blob).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        """Takes a file and answers with its digest."""
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                return
            digest.update(data)
            left -= len(data)
        answer = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def serve_files(directory):
    """Returns the port of a server on the loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def serve_names(address, answer):
    """Answers all questions for `DOMAIN`'s IPv4 address, at port 53 of `address`; other names do not exist."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))

    def run():
        while True:
            query, sender = server.recvfrom(4096)
            if len(query) < 17:
                continue
            labels, position = [], 12
            while position < len(query) and query[position]:
                labels.append(query[position + 1:position + 1 + query[position]].decode("ascii", "replace"))
                position += 1 + query[position]
            question = query[12:position + 5]
            kind = struct.unpack(">H", question[-4:-2])[0]
            known = ".".join(labels).lower() == DOMAIN
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(answer)
            records = record if known and kind == 1 else b""
            header = query[:2] + struct.pack(">5H", 0x8180 if known else 0x8183, 1, 1 if records else 0, 0, 0)
            server.sendto(header + question + records, sender)

    threading.Thread(target=run, daemon=True).start()
