"""The gateway's gauges as Kubernetes' external metrics: the smallest adapter that an HPA can read.

`adapter_objects` makes it run in a pod from the platform's own image, which has an interpreter and
a parser of the gauges. Clusters have adapters of their own (prometheus-adapter, KEDA's); this one
has none of their features and shows that the chart's mode `hpa` needs no more than the API.

Protocol: k8s.io/metrics, external.metrics.k8s.io/v1beta1.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "external.metrics.k8s.io/v1beta1"
PORT = 6443
NAME = "external-metrics"


class Adapter(BaseHTTPRequestHandler):
    """Answers discovery, and one gauge of the gateway that GAUGES names, by its labels."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[:3] != ["apis", *API.split("/")] or len(parts) not in (3, 6):
            return self._answer(404, {})
        if len(parts) == 3:
            listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API}
            return self._answer(200, {**listed, "resources": []})
        selector = parse_qs(url.query).get("labelSelector", [""])[0]
        labels = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
        items = [
            {
                "metricName": parts[5],
                "metricLabels": found,
                "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "value": str(int(value)),
            }
            for found, value in gauges(parts[5])
            if labels.items() <= found.items()
        ]
        return self._answer(
            200,
            {"kind": "ExternalMetricValueList", "apiVersion": API, "metadata": {}, "items": items},
        )

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Asked each second: nothing to tell."""


def gauges(name: str) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of each of that name; what is not known is not among them."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(os.environ["GAUGES"], timeout=5) as reply:
        text = reply.read().decode()
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    ]


def adapter_objects(namespace: str, certificate: Path, key: Path) -> list[dict[str, Any]]:
    """An adapter in `namespace`, and its registration as the cluster's external metrics."""
    labels = {"app.kubernetes.io/name": NAME}
    secure = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    files = {
        "adapter.py": Path(__file__).read_text(),
        "tls.crt": certificate.read_text(),
        "tls.key": key.read_text(),
    }
    group, version = API.split("/")
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME},
            "stringData": files,
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "adapter",
                        "image": "docker.io/marea/marea:dev",
                        "imagePullPolicy": "Never",
                        "command": ["python", "/adapter/adapter.py"],
                        "env": [{"name": "GAUGES", "value": "http://marea-gateway:8080/metrics"}],
                        "securityContext": secure,
                        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                        "volumeMounts": [{"name": "adapter", "mountPath": "/adapter"}],
                    }
                ],
                "volumes": [{"name": "adapter", "secret": {"secretName": NAME}}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": PORT}]},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {"name": NAME, "namespace": namespace, "port": 443},
            },
        },
    ]


def main() -> None:
    here = Path(__file__).parent
    server = ThreadingHTTPServer(("", PORT), Adapter)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(here / "tls.crt", here / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
