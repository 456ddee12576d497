"""A rendered chart as a network: its pods, their neighbours, and who stands outside.

Built for the tests of connections. The neighbours are those that a policy could let in or reach
by mistake: a pod beside the release, another release, another namespace, the cluster's DNS, its
API server, the cloud's metadata address, the internet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import yaml
from network import Endpoint, Network, Outside, Pod, selects
from render import Object, component_of, find, find_all, name_of, pods

RELEASE_NAMESPACE = "marea"
DNS = Pod("coredns", "kube-system", {"k8s-app": "kube-dns"}, "10.244.9.53")
NEIGHBOUR = Pod("neighbour", RELEASE_NAMESPACE, {"app": "web"}, "10.244.9.1")
STRANGER = Pod("stranger", "elsewhere", {"app": "web"}, "10.244.9.2")
INGRESS = Pod("ingress", "ingress-nginx", {"app": "ingress"}, "10.244.9.3")
PROMETHEUS = Pod("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}, "10.244.9.4")
KEDA = Pod("keda", "keda", {"app": "keda-operator"}, "10.244.9.6")
OTHER_RELEASE = Pod(
    "other-gateway",
    RELEASE_NAMESPACE,
    {
        "app.kubernetes.io/name": "marea",
        "app.kubernetes.io/instance": "other",
        "app.kubernetes.io/component": "gateway",
    },
    "10.244.9.5",
)
API_SERVER = Outside("API server", "10.96.0.1")
API_SERVER_NODE = Outside("API server's node", "10.0.0.4")
METADATA = Outside("metadata", "169.254.169.254")
METADATA_V6 = Outside("metadata over IPv6", "fd00:ec2::254")
INTERNET = Outside("internet", "203.0.113.9")
FORBIDDEN = (API_SERVER, API_SERVER_NODE, METADATA, METADATA_V6)
NEIGHBOURS = (NEIGHBOUR, STRANGER, INGRESS, PROMETHEUS, KEDA, OTHER_RELEASE)

DEFAULT_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
SENTINEL_NODES = 6379
"""Behind Sentinels are servers whose addresses nobody knows before; by their usual port."""

Place = tuple[str, int]
"""Name of an endpoint and a port of it."""


def own_pods(objects: list[Object]) -> dict[str, Pod]:
    """One pod of each of the release's workloads, by the workload's name."""
    found = {}
    for number, (owner, pod) in enumerate(pods(objects), start=1):
        labels = pod["metadata"]["labels"]
        ports = {
            port["name"]: (port["containerPort"], port.get("protocol", "TCP"))
            for container in pod["spec"]["containers"]
            for port in container.get("ports") or ()
        }
        found[name_of(owner)] = Pod(
            name_of(owner), RELEASE_NAMESPACE, labels, f"10.244.1.{number}", ports
        )
    return found


def network_of(objects: list[Object]) -> Network:
    return Network(find_all(objects, "NetworkPolicy"))


def component(pod: Pod) -> str:
    """`app` for the pods of somebody's own Celery application."""
    if "marea/app" in pod.labels:
        return "app"
    return pod.labels.get("app.kubernetes.io/component", "")


def outside_servers(objects: list[Object]) -> tuple[Outside, ...]:
    """A server in the first network that the shape names for external ones, else anywhere."""
    for policy in find_all(objects, "NetworkPolicy"):
        if component_of(policy) in ("autoscaler", "loadtest"):
            continue  # Their networks are also those of the API server.
        for rule in policy["spec"].get("egress") or ():
            if {"protocol": "UDP", "port": 53} in rule.get("ports", ()):
                continue
            for peer in rule.get("to") or ():
                cidr = peer.get("ipBlock", {}).get("cidr", "")
                if cidr:
                    base = "203.0.113.9" if cidr == "0.0.0.0/0" else cidr.rpartition(".")[0] + ".7"
                    return (Outside("external", base),)
    return (Outside("external", INTERNET.ip),)


def role_places(objects: list[Object]) -> dict[str, set[Place]]:
    """`broker`, `ledger`, `store`, `webhook` → where the settings say they are."""
    config = find_all(objects, "ConfigMap")
    text = next(
        each["data"]["settings.yaml"] for each in config if component_of(each) == "settings"
    )
    settings = yaml.safe_load(text)
    broker, store = settings["broker"], settings["store"]
    urls = {
        "broker": [broker["url"], broker.get("management_url")],
        "ledger": [settings["ledger"]["url"]],
        # Without an address it is AWS, which is reached by TLS.
        "store": [store.get("endpoint_url", "https://s3.amazonaws.com")],
        "webhook": [settings.get("notify", {}).get("url")],
    }
    return {
        role: {place for url in found if url for place in places(objects, url)}
        for role, found in urls.items()
    }


def places(objects: list[Object], url: str) -> Iterator[Place]:
    """The pods and ports behind an address of a Service; else a server outside."""
    parts = urlsplit(re.sub(r"^[a-z+]*sentinel", "sentinel", url))
    for host in parts.netloc.rpartition("@")[2].split(","):
        name, _, number = host.partition(":")
        if name.endswith(f".{RELEASE_NAMESPACE}.svc"):
            yield from behind_service(objects, name.split(".")[0], int(number))
        else:
            yield "external", int(number or DEFAULT_PORTS[parts.scheme])
            if parts.scheme == "sentinel":
                yield "external", SENTINEL_NODES


def behind_service(objects: list[Object], name: str, number: int) -> Iterator[Place]:
    service = find(objects, "Service", name)
    (port,) = (port for port in service["spec"]["ports"] if port["port"] == number)
    selector = {"matchLabels": service["spec"]["selector"]}
    for pod in own_pods(objects).values():
        if selects(selector, pod.labels):
            yield pod.name, pod.ports[port["targetPort"]][0]


def reachable(
    network: Network, source: Endpoint, targets: Mapping[str, Endpoint], ports: set[int]
) -> set[Place]:
    """Every place among `targets` that `source` can open a TCP connection to."""
    return {
        (name, port)
        for name, target in targets.items()
        for port in ports
        if target != source and network.allows(source, target, port)
    }
