"""An API server with a few objects to look up, for templates that ask the cluster what it has.

Speaks as much of the protocol as Helm's `lookup` does: which kinds a group version has, and one
object by its name, or 404.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from render import Object, name_of

PLURALS = {"Secret": "secrets", "Deployment": "deployments"}


@contextmanager
def cluster_with(objects: Sequence[Object], folder: Path) -> Iterator[Path]:
    """The kubeconfig of an API server that has `objects` and nothing else."""
    answers = dict(_discovery())
    for thing in objects:
        version, namespace = thing["apiVersion"], thing["metadata"]["namespace"]
        plural = PLURALS[thing["kind"]]
        place = f"{_root(version)}/namespaces/{namespace}/{plural}/{name_of(thing)}"
        answers[place] = thing

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing | {"status": "Failure"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield _kubeconfig(folder, server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _discovery() -> Iterator[tuple[str, Object]]:
    for version, kind in (("v1", "Secret"), ("apps/v1", "Deployment")):
        resource = {"name": PLURALS[kind], "kind": kind, "namespaced": True, "verbs": ["get"]}
        yield (
            _root(version),
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": version,
                "resources": [resource | {"singularName": kind.lower()}],
            },
        )


def _kubeconfig(folder: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "users": [{"name": "fake", "user": {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
