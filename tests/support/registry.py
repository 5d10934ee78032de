"""A registry that serves one image to `docker pull`: it stands in for a real one: there is none here.

It speaks the pull half of the registry's HTTP API (version 2): manifest by tag or digest, blobs by digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """Use as a context manager; `address` is `127.0.0.1:PORT`, from where dockerd pulls without TLS."""

    def __init__(self, saved: bytes, repository: str, tag: str) -> None:
        """`saved` is what `docker save` gives of one image."""
        self._paths: dict[str, tuple[str, bytes]] = {}
        with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
            (image,) = json.loads(self._member(tar, "manifest.json"))
            config = self._blob(repository, self._member(tar, image["Config"]), _CONFIG)
            layers = [
                self._blob(repository, gzip.compress(self._member(tar, name), 1), _LAYER)
                for name in image["Layers"]
            ]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
        ).encode()
        self.digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        for reference in (tag, self.digest):
            self._paths[f"/v2/{repository}/manifests/{reference}"] = (_MANIFEST, manifest)
        self._paths["/v2/"] = ("application/json", b"{}")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @staticmethod
    def _member(tar: tarfile.TarFile, name: str) -> bytes:
        stream = tar.extractfile(name)
        assert stream is not None
        return stream.read()

    def _blob(self, repository: str, content: bytes, kind: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._paths[f"/v2/{repository}/blobs/{digest}"] = ("application/octet-stream", content)
        return {"mediaType": kind, "size": len(content), "digest": digest}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        paths = self._paths

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, content = paths.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Docker-Distribution-API-Version", "registry/2.0")
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
                self.send_header("Docker-Content-Digest", digest)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815 (the name is the method's)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Registry:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
