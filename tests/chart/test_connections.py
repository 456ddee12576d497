"""Who can talk to whom: exactly the processes that the design lets, in every bundled shape.

The table below is the design's, word for word; where each server is, is read from the settings
that the processes get. So a process that is told an address which no policy opens fails here,
and a policy which opens more than an address as well.
"""

from __future__ import annotations

from typing import Any

import pytest
from cluster_network import (
    API_SERVER,
    API_SERVER_NODE,
    DNS,
    FORBIDDEN,
    INGRESS,
    INTERNET,
    KEDA,
    METADATA,
    METADATA_V6,
    NEIGHBOUR,
    NEIGHBOURS,
    OTHER_RELEASE,
    PROMETHEUS,
    STRANGER,
    component,
    network_of,
    outside_servers,
    own_pods,
    reachable,
    role_places,
)
from network import Endpoint, Pod
from render import Object, find_all, render, shapes

# Design, section 4: "talks to".
TALKS_TO = {
    "gateway": {"broker", "ledger", "store"},
    "worker": {"broker", "ledger", "store"},
    "reconciler": {"broker", "ledger", "store", "webhook"},
    "autoscaler": {"broker", "ledger", "API server", "apps' brokers"},
    "store-prepare": {"store"},
    "test": {"store"},
    "loadtest": {"gateway", "store", "API server"},
    "store": {"gateway"},
    "valkey": set(),
    "rabbitmq": set(),
}
PORTS = {22, 80, 443, 5671, 5672, 6379, 6380, 6443, 8080, 9000, 9001, 15671, 15672, 15692, 26379}
BROKER_PORTS = {5671, 5672, 6379, 6380}
API_PORTS = {443, 6443}
"""Of the API server's Service, and of what is behind it."""
CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
WITH_POLICIES = [shape for shape in shapes() if shape != "minimal"]


def mareas(own: dict[str, Pod]) -> list[Pod]:
    """Without those of somebody's own Celery application, which test_apps.py is about."""
    return [pod for pod in own.values() if component(pod) != "app"]


@pytest.mark.parametrize("shape", WITH_POLICIES)
def test_each_process_reaches_what_the_design_says_and_nothing_else(shape: str) -> None:
    objects = render(shape=shape)
    network, own = network_of(objects), own_pods(objects)
    roles = role_places(objects)
    roles["gateway"] = {(pod.name, 8080) for pod in own.values() if component(pod) == "gateway"}
    servers = {server.name: server for server in outside_servers(objects)}
    # Nobody knows where it is when the chart is rendered: it may be anywhere, by its ports.
    roles["API server"] = {(name, port) for name in servers for port in API_PORTS}
    # Their addresses are in Secrets, so they are known by their usual ports.
    usual = {(name, port) for name in servers for port in BROKER_PORTS}
    roles["apps' brokers"] = usual if shape == "celery-app" else set()
    targets: dict[str, Endpoint] = {**own, **servers}
    ports = PORTS | {port for places in roles.values() for _, port in places}
    for pod in mareas(own):
        wanted = {place for role in TALKS_TO[component(pod)] for place in roles[role]}
        assert reachable(network, pod, targets, ports) == wanted, pod.name


@pytest.mark.parametrize("shape", WITH_POLICIES)
def test_every_pod_is_closed_in_both_directions_but_for_its_own_rules(shape: str) -> None:
    objects = render(shape=shape)
    network, own = network_of(objects), own_pods(objects)
    for pod in mareas(own):
        assert not network.allows(pod, STRANGER, 4444), pod.name
    for pod in own.values():
        assert not network.allows(STRANGER, pod, 4444), pod.name


@pytest.mark.parametrize("shape", WITH_POLICIES)
def test_whoever_has_to_look_up_names_can(shape: str) -> None:
    objects = render(shape=shape)
    network = network_of(objects)
    for pod in own_pods(objects).values():
        asks = component(pod) == "app" or bool(TALKS_TO[component(pod)])
        for protocol in ("UDP", "TCP"):
            assert network.allows(pod, DNS, 53, protocol) is asks, pod.name


@pytest.mark.parametrize("shape", WITH_POLICIES)
def test_nobody_reaches_the_clouds_metadata(shape: str) -> None:
    objects = render(shape=shape)
    network = network_of(objects)
    for pod in own_pods(objects).values():
        for server in (METADATA, METADATA_V6):
            for port in PORTS | {53}:
                assert not network.allows(pod, server, port), (pod.name, server.name, port)


# In `aws` and `gitops` a server is somewhere on the internet, and so may be anywhere: see below.
@pytest.mark.parametrize("shape", [name for name in WITH_POLICIES if name not in ("aws", "gitops")])
def test_the_autoscaler_and_a_load_test_alone_reach_the_api_server(shape: str) -> None:
    objects = render(shape=shape)
    network = network_of(objects)
    for pod in mareas(own_pods(objects)):
        wanted = API_PORTS if component(pod) in ("autoscaler", "loadtest") else set()
        for server in (API_SERVER, API_SERVER_NODE):
            found = {port for port in PORTS if network.allows(pod, server, port)}
            assert found == wanted, (pod.name, server.name)


def test_told_where_the_api_server_is_the_autoscaler_reaches_nothing_else() -> None:
    known = {"cidrs": [f"{API_SERVER.ip}/32", f"{API_SERVER_NODE.ip}/32"], "ports": [6443]}
    objects = render(CLUSTERLESS | {"networkPolicy": {"apiServer": known}})
    network, own = network_of(objects), own_pods(objects)
    servers: dict[str, Endpoint] = {
        each.name: each for each in (API_SERVER, API_SERVER_NODE, INTERNET, STRANGER)
    }
    assert reachable(network, own["marea-autoscaler"], servers, PORTS) == {
        (API_SERVER.name, 6443),
        (API_SERVER_NODE.name, 6443),
    }


def test_where_nobody_sizes_the_pools_nobody_reaches_the_api_server() -> None:
    objects = render(CLUSTERLESS | {"autoscaler": {"mode": "none"}})
    for pod in own_pods(objects).values():
        assert not reachable(network_of(objects), pod, {"API server": API_SERVER}, PORTS), pod.name


def test_with_a_store_on_the_internet_the_clusters_own_networks_can_be_left_out() -> None:
    # Its address is not known when the chart is rendered, so it is everywhere, by its port.
    wide = render(shape="aws")
    narrow = render({"networkPolicy": {"externalCidrs": ["203.0.113.0/24"]}}, shape="aws")
    for objects, closed in ((wide, False), (narrow, True)):
        network, own = network_of(objects), own_pods(objects)
        worker = own["marea-worker-images"]
        assert network.allows(worker, INTERNET, 443)
        assert not network.allows(worker, INTERNET, 22)
        assert network.allows(worker, FORBIDDEN[0], 443) is not closed


@pytest.mark.parametrize("shape", WITH_POLICIES)
def test_from_outside_only_the_api_and_the_store_are_reached(shape: str) -> None:
    objects = render(shape=shape)
    network, own = network_of(objects), own_pods(objects)
    doors = {("gateway", 8080), ("store", 9000)}
    expected = {NEIGHBOUR.name: doors, OTHER_RELEASE.name: doors}
    if shape == "ingress":
        expected = {INGRESS.name: doors}
    if shape == "monitoring":
        expected[PROMETHEUS.name] = {("gateway", 8080), ("rabbitmq", 15692)}
    there = {component(pod) for pod in own.values()}
    if shape == "keda":
        expected[KEDA.name] = {("gateway", 8080)}
    for source in NEIGHBOURS:
        found = {
            (component(own[name]), port) for name, port in reachable(network, source, own, PORTS)
        }
        wanted = {door for door in expected.get(source.name, set()) if door[0] in there}
        assert found == wanted, source.name


# So that the internet is not where the API server may be.
API_SERVER_KNOWN: dict[str, Any] = {"networkPolicy": {"apiServer": {"cidrs": ["10.96.0.1/32"]}}}


def test_without_a_webhook_nobody_reaches_the_internet() -> None:
    objects = render(CLUSTERLESS | API_SERVER_KNOWN)
    for pod in own_pods(objects).values():
        assert not reachable(network_of(objects), pod, {"internet": INTERNET}, PORTS)


@pytest.mark.parametrize(
    ("url", "port"),
    [("https://hooks.example.org/in", 443), ("http://hooks.example.org:8088", 8088)],
)
def test_with_one_the_reconciler_alone_does_and_by_its_port_alone(url: str, port: int) -> None:
    objects = render(CLUSTERLESS | API_SERVER_KNOWN | {"notify": {"url": url}})
    network, own = network_of(objects), own_pods(objects)
    ports = PORTS | {port}
    found = {
        name: reachable(network, pod, {"internet": INTERNET}, ports) for name, pod in own.items()
    }
    assert {name: places for name, places in found.items() if places} == {
        "marea-reconciler": {("internet", port)}
    }


def test_the_ports_of_services_may_be_others_than_those_of_pods() -> None:
    values = {"gateway": {"service": {"port": 80}}, "store": {"bundled": {"service": {"port": 81}}}}
    objects = render(CLUSTERLESS | values)
    network, own = network_of(objects), own_pods(objects)
    assert role_places(objects)["store"] == {("marea-store", 9000)}
    assert network.allows(own["marea-worker-images"], own["marea-store"], 9000)
    assert network.allows(own["marea-store"], own["marea-gateway"], 8080)


def test_switched_off_there_is_no_policy(objects: list[Object], shape: str) -> None:
    assert bool(find_all(objects, "NetworkPolicy")) is (shape != "minimal")


def test_two_releases_do_not_open_each_others_doors() -> None:
    one, other = (render(CLUSTERLESS, release=name) for name in ("one", "two"))
    policies = [*find_all(one, "NetworkPolicy"), *find_all(other, "NetworkPolicy")]
    network = type(network_of(one))(policies)
    valkey: Pod = own_pods(one)["one-marea-valkey"]
    for pod in own_pods(other).values():
        assert not network.allows(pod, valkey, 6379)
