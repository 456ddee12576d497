"""The evaluator decides as the documentation of Kubernetes says, and obeys its own laws."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from network import Network, Outside, Pod, selects

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
INTERNET = Outside("internet", "203.0.113.9")
METADATA = Outside("metadata", "169.254.169.254")


def make_pod(name: str, namespace: str = "default", **labels: str) -> Pod:
    return Pod(name, namespace, labels, ip=f"10.1.0.{sum(map(ord, name)) % 250}")


def make_policy(text: str, namespace: str = "default") -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": yaml.safe_load(text)}


# The page "Network Policies" of the Kubernetes documentation, its first example.
DOCUMENTED = """
podSelector: {matchLabels: {role: db}}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
  - namespaceSelector: {matchLabels: {project: myproject}}
  - podSelector: {matchLabels: {role: frontend}}
  ports: [{protocol: TCP, port: 6379}]
egress:
- to: [{ipBlock: {cidr: 10.0.0.0/24}}]
  ports: [{protocol: TCP, port: 5978}]
"""


@pytest.mark.parametrize(
    ("source", "port", "allowed"),
    [
        (make_pod("front", role="frontend"), 6379, True),
        (make_pod("front", role="frontend"), 6380, False),
        (make_pod("other", role="backend"), 6379, False),
        (make_pod("front", "elsewhere", role="frontend"), 6379, False),
        (make_pod("any", "mine"), 6379, True),
        (Outside("inside the block", "172.17.0.7"), 6379, True),
        (Outside("in its exception", "172.17.1.7"), 6379, False),
        (Outside("beyond it", "172.18.0.7"), 6379, False),
    ],
)
def test_the_documented_ingress(source: Pod | Outside, port: int, allowed: bool) -> None:
    network = Network([make_policy(DOCUMENTED)], {"mine": {"project": "myproject"}})
    assert network.allows(source, make_pod("db", role="db"), port) is allowed


@pytest.mark.parametrize(
    ("ip", "port", "protocol", "allowed"),
    [
        ("10.0.0.5", 5978, "TCP", True),
        ("10.0.0.5", 5978, "UDP", False),
        ("10.0.0.5", 443, "TCP", False),
        ("10.0.1.5", 5978, "TCP", False),
    ],
)
def test_the_documented_egress(ip: str, port: int, protocol: str, allowed: bool) -> None:
    network = Network([make_policy(DOCUMENTED)])
    target = Outside("server", ip)
    assert network.allows(make_pod("db", role="db"), target, port, protocol) is allowed


def test_two_selectors_of_one_peer_must_both_match_and_of_two_peers_either() -> None:
    both = "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {user: alice}}, \
podSelector: {matchLabels: {role: client}}}]}]"
    either = (
        "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {user: alice}}}, \
{podSelector: {matchLabels: {role: client}}}]}]"
    )
    namespaces = {"alices": {"user": "alice"}}
    target = make_pod("target")
    sources = [
        make_pod("a", "alices", role="client"),
        make_pod("b", "alices", role="other"),
        make_pod("c", role="client"),
        make_pod("d", "bobs", role="client"),
    ]
    asked = [
        [Network([make_policy(text)], namespaces).allows(source, target, 80) for source in sources]
        for text in (both, either)
    ]
    assert asked == [[True, False, False, False], [True, True, True, False]]


@pytest.mark.parametrize(
    ("spec", "comes_in", "goes_out"),
    [
        ("{podSelector: {}, policyTypes: [Ingress]}", False, True),
        ("{podSelector: {}, ingress: [{}], policyTypes: [Ingress]}", True, True),
        ("{podSelector: {}, policyTypes: [Egress]}", True, False),
        ("{podSelector: {}, egress: [{}], policyTypes: [Egress]}", True, True),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", False, False),
        ("{podSelector: {}}", False, True),
        ("{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}", False, False),
        ("{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]}", True, True),
    ],
)
def test_the_documented_defaults(spec: str, comes_in: bool, goes_out: bool) -> None:
    network = Network([make_policy(spec)])
    pod = make_pod("mine", app="mine")
    assert network.allows(INTERNET, pod, 80) is comes_in
    assert network.allows(pod, INTERNET, 80) is goes_out


def test_a_range_of_ports_has_both_ends() -> None:
    rule = "{ports: [{port: 32000, endPort: 32768}]}"
    spec = f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{rule}]}}"
    network = Network([make_policy(spec)])
    asked = {
        port: network.allows(make_pod("a"), INTERNET, port) for port in (31999, 32000, 32768, 32769)
    }
    assert asked == {31999: False, 32000: True, 32768: True, 32769: False}


def test_a_named_port_is_looked_up_in_the_target() -> None:
    spec = "{podSelector: {}, ingress: [{ports: [{port: http}]}]}"
    network = Network([make_policy(spec)])
    target = Pod("b", "default", ports={"http": (8080, "TCP"), "metrics": (9000, "TCP")})
    assert network.allows(make_pod("a"), target, 8080)
    assert not network.allows(make_pod("a"), target, 9000)


def test_both_ends_must_agree() -> None:
    out = make_policy("{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: []}")
    into = make_policy(
        "podSelector: {matchLabels: {app: b}}\n"
        "ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]"
    )
    source, target = make_pod("a", app="a"), make_pod("b", app="b")
    assert Network([into]).allows(source, target, 80)
    assert not Network([into, out]).allows(source, target, 80)


def test_everything_but_the_metadata_address() -> None:
    spec = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: \
{cidr: 0.0.0.0/0, except: [169.254.0.0/16]}}]}]}"
    network = Network([make_policy(spec)])
    assert network.allows(make_pod("a"), INTERNET, 443)
    assert not network.allows(make_pod("a"), METADATA, 80)


def test_a_selector_with_an_unknown_operator_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such operator: Like"):
        selects({"matchExpressions": [{"key": "a", "operator": "Like"}]}, {})


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
requirements = st.fixed_dictionaries(
    {
        "key": st.sampled_from("abc"),
        "operator": st.sampled_from(OPERATORS),
        "values": st.lists(st.sampled_from("xyz"), min_size=1, max_size=2),
    }
)
selectors = st.fixed_dictionaries(
    {}, optional={"matchLabels": labels, "matchExpressions": st.lists(requirements, max_size=2)}
)
ports = st.lists(
    st.fixed_dictionaries(
        {}, optional={"port": st.integers(80, 83), "protocol": st.sampled_from(["TCP", "UDP"])}
    ),
    max_size=2,
)
blocks = st.sampled_from(["10.1.0.0/24", "0.0.0.0/0", "203.0.113.0/24", "169.254.0.0/16"])
peers = st.lists(
    st.fixed_dictionaries({"podSelector": selectors}, optional={"namespaceSelector": selectors})
    | st.fixed_dictionaries({"namespaceSelector": selectors})
    | st.fixed_dictionaries({"ipBlock": st.fixed_dictionaries({"cidr": blocks})}),
    max_size=2,
)


def rules(peer: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({}, optional={peer: peers, "ports": ports}), max_size=2)


policies = st.builds(
    lambda namespace, spec: {"metadata": {"namespace": namespace}, "spec": spec},
    st.sampled_from(["default", "other"]),
    st.fixed_dictionaries(
        {"podSelector": selectors},
        optional={
            "ingress": rules("from"),
            "egress": rules("to"),
            "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        },
    ),
)
pod_endpoints = st.builds(
    Pod,
    st.sampled_from(["p", "q", "r"]),
    st.sampled_from(["default", "other"]),
    labels,
    st.sampled_from(["10.1.0.1", "10.1.0.2", "10.2.0.1"]),
)
endpoints = pod_endpoints | st.sampled_from([INTERNET, METADATA])
namespaces = st.fixed_dictionaries({"default": labels, "other": labels})
DENY_ALL = "{podSelector: {}, policyTypes: [Ingress, Egress]}"


@given(endpoints, endpoints, st.integers(79, 84))
def test_without_policies_everything_is_allowed(source: Any, target: Any, port: int) -> None:
    assert Network([]).allows(source, target, port)


@given(
    st.lists(policies, max_size=4), namespaces, endpoints, endpoints, st.integers(79, 84), st.data()
)
def test_the_order_of_policies_decides_nothing(
    given_policies: list[Any],
    labelled: Any,
    source: Any,
    target: Any,
    port: int,
    data: st.DataObject,
) -> None:
    shuffled = data.draw(st.permutations(given_policies))
    asked = {
        Network(each, labelled).allows(source, target, port) for each in (given_policies, shuffled)
    }
    assert len(asked) == 1


@given(st.lists(policies, max_size=4), namespaces, pod_endpoints, endpoints, st.integers(79, 84))
def test_denying_all_twice_changes_nothing_and_denies_only_what_no_policy_allows(
    given_policies: list[Any], labelled: Any, source: Pod, target: Any, port: int
) -> None:
    deny = [make_policy(DENY_ALL, name) for name in ("default", "other")]
    closed = Network([*given_policies, *deny], labelled)
    opened = Network(given_policies, labelled)
    # Rules add up: a policy beside default deny can only open, and default deny can only close.
    assert not closed.allows(source, target, port) or opened.allows(source, target, port)
    again = Network([*deny, *given_policies, *deny], labelled)
    assert closed.allows(source, target, port) == again.allows(source, target, port)
    assert Network(deny, labelled).allows(source, target, port) == (source == target)


@given(
    st.lists(policies, max_size=3), policies, namespaces, endpoints, endpoints, st.integers(79, 84)
)
def test_under_default_deny_one_more_policy_never_closes(
    given_policies: list[Any], extra: Any, labelled: Any, source: Any, target: Any, port: int
) -> None:
    deny = [make_policy(DENY_ALL, name) for name in ("default", "other")]
    before = Network([*deny, *given_policies], labelled).allows(source, target, port)
    after = Network([*deny, *given_policies, extra], labelled).allows(source, target, port)
    assert after or not before


@given(requirements, labels)
def test_an_operator_and_its_opposite_never_agree(
    requirement: dict[str, Any], given_labels: Any
) -> None:
    opposite = dict(zip(OPERATORS, ("NotIn", "In", "DoesNotExist", "Exists"), strict=True))
    turned = requirement | {"operator": opposite[requirement["operator"]]}
    asked = [selects({"matchExpressions": [each]}, given_labels) for each in (requirement, turned)]
    assert sorted(asked) == [False, True]
