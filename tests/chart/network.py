"""What NetworkPolicies allow, decided from the objects alone.

Pure: policies, namespaces and endpoints in, yes or no out. Follows the API's own words
(networking.k8s.io/v1): without a policy that selects it, a pod is open in that direction; with
one, it is closed but for the union of what all of them allow; a connection needs the egress of
its source and the ingress of its target; a pod always reaches itself. A block of addresses also
matches pods with such an address, which is what some networks do and the wider reading: what is
closed here is closed everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Labels = Mapping[str, str]
Policy = Mapping[str, Any]
NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """A pod of the cluster. `ports`: name → (number, protocol), as its containers declare."""

    name: str
    namespace: str
    labels: Labels = field(default_factory=dict, hash=False)
    ip: str | None = None
    ports: Mapping[str, tuple[int, str]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Outside:
    """An address that belongs to no pod: the internet, the API server, a cloud's metadata."""

    name: str
    ip: str


Endpoint = Pod | Outside


@dataclass(frozen=True)
class Network:
    """All policies of a cluster, and the labels of its namespaces."""

    policies: Sequence[Policy]
    namespaces: Mapping[str, Labels] = field(default_factory=dict)

    def allows(self, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
        """Whether `source` may open a connection to `port` of `target`."""
        if source == target:
            return True
        leaves = self._passes("Egress", source, target, target, port, protocol)
        return leaves and self._passes("Ingress", target, source, target, port, protocol)

    def _passes(
        self,
        direction: str,
        subject: Endpoint,
        peer: Endpoint,
        target: Endpoint,
        port: int,
        protocol: str,
    ) -> bool:
        if not isinstance(subject, Pod):
            return True
        policies = [each for each in self.policies if _applies(each, direction, subject)]
        return not policies or any(
            self._reaches(rule.get("to" if direction == "Egress" else "from"), policy, peer)
            and _port_matches(rule.get("ports"), target, port, protocol)
            for policy in policies
            for rule in policy["spec"].get(direction.lower()) or ()
        )

    def _reaches(self, peers: Sequence[Any] | None, policy: Policy, peer: Endpoint) -> bool:
        # No list and an empty one both mean everybody.
        return not peers or any(self._is_peer(each, policy, peer) for each in peers)

    def _is_peer(self, rule: Mapping[str, Any], policy: Policy, peer: Endpoint) -> bool:
        if "ipBlock" in rule:
            return peer.ip is not None and _in_block(rule["ipBlock"], peer.ip)
        if not isinstance(peer, Pod):
            return False
        if rule.get("namespaceSelector") is None:
            if peer.namespace != policy["metadata"]["namespace"]:
                return False
        elif not selects(rule["namespaceSelector"], self._labels(peer.namespace)):
            return False
        return rule.get("podSelector") is None or selects(rule["podSelector"], peer.labels)

    def _labels(self, namespace: str) -> Labels:
        # The API server sets this label on every namespace.
        return {**self.namespaces.get(namespace, {}), NAMESPACE_NAME: namespace}


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(requirement, labels) for requirement in selector.get("matchExpressions") or ()
    )


def _holds(requirement: Mapping[str, Any], labels: Labels) -> bool:
    key, operator = requirement["key"], requirement["operator"]
    values = requirement.get("values") or ()
    match operator:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"no such operator: {operator}")


def _applies(policy: Policy, direction: str, pod: Pod) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes")
    if types is None:
        types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return (
        direction in types
        and policy["metadata"]["namespace"] == pod.namespace
        and selects(spec.get("podSelector") or {}, pod.labels)
    )


def _in_block(block: Mapping[str, Any], ip: str) -> bool:
    address = ip_address(ip)
    return address in ip_network(block["cidr"]) and not any(
        address in ip_network(cidr) for cidr in block.get("except") or ()
    )


def _port_matches(
    rules: Sequence[Mapping[str, Any]] | None, target: Endpoint, port: int, protocol: str
) -> bool:
    return not rules or any(_is_port(rule, target, port, protocol) for rule in rules)


def _is_port(rule: Mapping[str, Any], target: Endpoint, port: int, protocol: str) -> bool:
    if rule.get("protocol", "TCP") != protocol:
        return False
    named = rule.get("port")
    if named is None:
        return True
    if isinstance(named, str):
        return isinstance(target, Pod) and target.ports.get(named) == (port, protocol)
    return bool(named <= port <= rule.get("endPort", named))
