"""A hub as huggingface_hub and easel-checkpoint see it, in this process, with ways to misbehave.

Small files come from the hub itself, after a redirection within it; files of Git LFS from a store on
another host, where no token may go.
"""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS = (".safetensors", ".ckpt", ".bin")


def is_lfs(name: str) -> bool:
    return name.endswith(LFS)


def etag(name: str, content: bytes) -> str:
    if is_lfs(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves on a port of its own until close(). `requests` are (method, path, headers) in order."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.requests = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients that are killed in the middle are part of the tests

    def close(self):
        self.shutdown()
        self.server_close()


class Store(Server):
    """Keeps LFS files by their hash, at http://127.0.0.1."""

    def __init__(self):
        super().__init__(StoreHandler)
        self.blobs = {}
        self.ranges = True  # False: "Range" is ignored
        self.cut = {}  # hash: the answers of which only so many bytes are sent, one after the other
        self.claim_less = 0  # bytes that are left out without the headers showing it
        self.delay = 0  # seconds between blocks
        self.redirect = None  # where every request is sent instead

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Hub(Server):
    """One repository at http://localhost."""

    def __init__(self, store: Store, repo: str, files: dict):
        super().__init__(HubHandler)
        self.store, self.repo, self.files = store, repo, dict(files)
        self.commit = COMMIT
        self.token = None  # asked for, if there is one
        self.gated = False
        self.names = None  # instead of the files' own, in the listing
        self.linked = {}  # headers of a file's answer that are changed: {name: {header: text}}
        self.failures = []  # statuses of the next answers
        store.blobs.update({etag(name, content): content for name, content in files.items() if is_lfs(name)})

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def answer(self, status: int, content: bytes = b"", headers: dict = {}):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def note(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))


class HubHandler(Handler):
    def do_GET(self):
        self.note()
        hub = self.server
        path = unquote(urlsplit(self.path).path)
        if hub.failures:
            return self.answer(hub.failures.pop(0))
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            if hub.gated:
                return self.answer(401, b"gated", {"X-Error-Code": "GatedRepo"})
            return self.answer(401, b"who are you?", {"X-Error-Code": "RepoNotFound"})
        if hub.gated:
            return self.answer(403, b"gated", {"X-Error-Code": "GatedRepo"})
        for revision in ("main", "refs/pr/1", hub.commit):
            if path == f"/api/models/{hub.repo}/revision/{revision}":
                return self.listing()
            for start in (f"/{hub.repo}/resolve/{revision}/", f"/api/resolve-cache/models/{hub.repo}/{revision}/"):
                if path.startswith(start):
                    return self.file(path[len(start):], "resolve-cache" in start)
        code = "RevisionNotFound" if path.startswith(f"/api/models/{hub.repo}/") else "RepoNotFound"
        self.answer(404, b"not found", {"X-Error-Code": code})

    def listing(self):
        hub = self.server
        names = sorted(hub.files) if hub.names is None else hub.names
        listing = {"id": hub.repo, "sha": hub.commit, "siblings": [{"rfilename": name} for name in names]}
        self.answer(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})

    def file(self, name: str, is_cache: bool):
        hub = self.server
        content = hub.files.get(name)
        if content is None:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        changed = hub.linked.get(name, {})
        headers = {"X-Repo-Commit": hub.commit}
        if is_lfs(name):
            headers |= {"X-Linked-Etag": f'"{etag(name, content)}"', "X-Linked-Size": str(len(content)),
                        "Location": hub.store.url(etag(name, content))}
            return self.answer(302, b"", headers | changed)
        if not is_cache:
            target = urlsplit(self.path).path.replace("/resolve/", "/", 1)
            return self.answer(307, b"", headers | {"Location": f"/api/resolve-cache/models{target}"} | changed)
        self.answer(200, content, headers | {"ETag": f'"{etag(name, content)}"'} | changed)


class StoreHandler(Handler):
    def do_GET(self):
        self.note()
        store = self.server
        if store.redirect:
            return self.answer(302, b"", {"Location": store.redirect})
        name = self.path.lstrip("/")
        content = store.blobs.get(name)
        if content is None:
            return self.answer(404)
        content = content[:len(content) - store.claim_less]
        start = 0
        wanted = self.headers.get("Range")
        if wanted and store.ranges:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        part = content[start:]
        self.send_response(206 if wanted and store.ranges else 200)
        if wanted and store.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"of-the-store"')
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = store.cut.get(name, [])
        if cuts:
            self.wfile.write(part[:cuts.pop(0)])
            self.close_connection = True
            return
        for at in range(0, len(part), 1 << 16):
            self.wfile.write(part[at:at + (1 << 16)])
            time.sleep(store.delay)
