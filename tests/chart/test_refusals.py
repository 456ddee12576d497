"""Wrong values are refused before anything is installed, by a message that names them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from render import CHART, refusal, render
from values_schema import MISSPELT, Node, bounds, nodes, place, wrong_value

CLUSTERLESS = {"secrets": {"renderWithoutCluster": True}}


def told(values: dict[str, Any]) -> dict[str, str]:
    """What Helm says about which place: pointer → its words."""
    lines = re.findall(r"^ *- at '(.*?)': (.*)$", refusal(values), re.MULTILINE)
    found: dict[str, str] = {}
    for pointer, words in lines:
        found[pointer] = f"{found.get(pointer, '')} {words}"
    return found


def test_an_unknown_key_is_refused_and_named_at_every_level() -> None:
    closed = [node for node in nodes() if node.is_closed]
    values: dict[str, Any] = {}
    for node in closed:
        place(values, (*node.path, MISSPELT), 1)
    said = told(values)
    assert len(closed) > 50
    silent = [node.pointer for node in closed if MISSPELT not in said.get(node.pointer, "")]
    assert silent == []


def test_objects_that_are_open_are_those_whose_keys_are_the_users_own() -> None:
    free = {"affinity", "global", "rules", "pipelines", 0}
    # Kubernetes' own, like affinity.
    free |= {"podSecurityContext", "securityContext"}
    open_ones = [
        node.pointer
        for node in nodes()
        if node.schema.get("type") == "object"
        and not node.is_closed
        and not isinstance(node.schema.get("additionalProperties"), dict)
        and node.path[-1] not in free
    ]
    assert open_ones == []


def test_a_wrong_type_or_word_is_refused_and_named_for_every_leaf() -> None:
    leaves = [
        node
        for node in nodes()
        if not node.schema.get("properties") and "items" not in node.schema and node.path
    ]
    values: dict[str, Any] = {}
    wanted: list[str] = []
    for node in leaves:
        value = wrong_value(node.schema)
        if value is not ...:
            place(values, node.path, value)
            wanted.append(node.pointer)
    said = told(values)
    assert len(wanted) > 150
    assert [pointer for pointer in wanted if pointer not in said] == []


def test_a_list_or_object_of_another_type_is_refused_and_named() -> None:
    tops = [node for node in nodes() if len(node.path) == 1]
    said = told({str(node.path[0]): 5 for node in tops})
    assert {node.pointer for node in tops} == said.keys()


OUTSIDE = [(node, value) for node in nodes() for value in bounds(node.schema)]


def test_every_bound_holds() -> None:
    # As many at a time as fit beside each other, since a run of Helm names them all.
    waiting = list(OUTSIDE)
    assert len(waiting) > 50
    while waiting:
        values: dict[str, Any] = {}
        used: list[Node] = []
        later: list[tuple[Node, Any]] = []
        for node, value in waiting:
            if any(overlap(node.path, other.path) for other in used):
                later.append((node, value))
            else:
                place(values, node.path, value)
                used.append(node)
        said = told(values)
        assert [n.pointer for n in used if not any(p.startswith(n.pointer) for p in said)] == []
        waiting = later


def overlap(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def test_a_pool_needs_a_name() -> None:
    assert "missing property 'name'" in refusal({"pools": [{"replicas": 1}]})


def test_an_image_needs_a_repository() -> None:
    assert "missing property 'repository'" in refusal({"image": {"repository": None}})


GIB = {"limits": {"memory": "1Gi"}}
QUARANTINE = {"name": "quarantine", "concurrency": 1, "memoryPerJob": "640Mi"}
SHOP = {"image": {"repository": "shop", "tag": "1"}, "app": "shop"}
HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "mine"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "marea-worker-images"}},
}
GATEWAYS_HPA = HPA | {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "marea-gateway"}}}
REDIS = {"kind": "external", "external": {"url": "redis://redis.example.org:6379/0"}}

GUARDS: dict[str, tuple[dict[str, Any], str]] = {
    "a file that no scenario has": (
        {"loadtest": {"scenarioFiles": {"load.yaml": "a", "expect.yaml": "b", "lod.yaml": "c"}}},
        "loadtest.scenarioFiles has lod.yaml, which nothing reads: a scenario is load.yaml and"
        " expect.yaml",
    ),
    "half a scenario": (
        {"loadtest": {"scenarioFiles": {"load.yaml": "about: x"}}},
        "loadtest.scenarioFiles has no expect.yaml: a scenario is load.yaml and expect.yaml; give"
        " both, or none to run one of the image's own",
    ),
    "hard limit below soft": (
        {"timeLimits": {"softSeconds": 100, "hardSeconds": 100}},
        "timeLimits.hardSeconds (100) must be above timeLimits.softSeconds (100): a job is asked"
        " to stop before it is killed",
    ),
    "grace below hard limit": (
        {"timeLimits": {"graceSeconds": 179}},
        "timeLimits.graceSeconds (179) is below timeLimits.hardSeconds + 30 (180): a busy worker"
        " would be killed by every upgrade; leave it empty to have it derived",
    ),
    "a pool twice": (
        {"pools": [{"name": "images"}, {"name": "images"}, QUARANTINE]},
        'pools: "images" stands there twice; one entry is one pool',
    ),
    "a crowded quarantine": (
        {"pools": [QUARANTINE | {"concurrency": 2}]},
        "pools: quarantine must have concurrency 1: it runs jobs alone to see which of them takes"
        " its worker along",
    ),
    "no memory limit": (
        {"pools": [QUARANTINE | {"resources": {"requests": {"cpu": 1}}}]},
        "pools: quarantine has no resources.limits.memory: a bad file could take the whole node's",
    ),
    "nothing to count slots by": (
        {"pools": [{"name": "images", "resources": GIB}, QUARANTINE]},
        "pools: images has concurrency auto, which needs a CPU limit or request to count: set"
        " resources.limits.cpu, or a number of slots",
    ),
    "more memory than there is": (
        {"pools": [{"name": "images", "concurrency": 4, "resources": GIB}, QUARANTINE]},
        "pools: images runs 4 jobs of up to 640Mi (memoryPerJob) and needs 256Mi itself, which is"
        " 2816Mi and above its memory limit of 1Gi: the kernel would kill all of them for one;"
        " raise the limit, or lower concurrency or memoryPerJob",
    ),
    "a size that is none": (
        {"pools": [QUARANTINE | {"resources": {"limits": {"memory": "1.5Gi"}}}]},
        '"1.5Gi" is not a size: write whole numbers with Ki, Mi, Gi, k, M or G, e.g. 640Mi',
    ),
    "no quarantine": (
        {"pools": [{"name": "images"}]},
        "pools: there is no pool named quarantine; jobs that were there when a worker was lost"
        " would wait for ever: add {name: quarantine, concurrency: 1}",
    ),
    "a rule for a pool that is not there": (
        {"rules": {"rules": [{"name": "raw", "pipelines": ["copy"], "pool": "bulk"}]}},
        "rules: raw sends jobs to the pool bulk, which is not among pools (images, tables,"
        " quarantine); they would wait for ever: add it there, or name another",
    ),
    "a rule for somebody's own Celery application": (
        {
            "pools": [QUARANTINE, {"name": "shop", "concurrency": 1, "celery": SHOP}],
            "rules": {"rules": [{"name": "raw", "pipelines": ["copy"], "pool": "shop"}]},
        },
        "rules: raw sends jobs to the pool shop, which runs a Celery application of its own and"
        " knows no uploads: name a pool without celery",
    ),
    "a pipeline, as text, for a pool that is not there": (
        {"pipelines": "pipelines: [{name: card, pool: cards, steps: [orient]}]"},
        "pipelines: card sends jobs to the pool cards, which is not among pools (images, tables,"
        " quarantine); they would wait for ever: add it there, or name another",
    ),
    "no address of the broker": (
        {"broker": {"kind": "external"}},
        "broker.kind is external, so broker.external.url is needed, e.g."
        " rediss://marea@redis.example.org:6379/0",
    ),
    "no address of the ledger": (
        {"ledger": {"kind": "external"}},
        "ledger.kind is external, so ledger.external.url is needed, e.g."
        " rediss://marea@redis.example.org:6379/0",
    ),
    "a password in an address": (
        {"broker": {"kind": "external", "external": {"url": "amqp://u:secret@mq.example.org/v"}}},
        "broker.external.url holds a password; put it into a Secret and name that in"
        " broker.external.existingSecret",
    ),
    "a ledger that is no Redis": (
        {"ledger": {"kind": "external", "external": {"url": "amqp://mq.example.org/v"}}},
        "ledger.external.url must begin with redis://, rediss:// or redis+sentinel://: the ledger"
        " lives in Redis or Valkey, whatever the broker is",
    ),
    "a broker of another kind": (
        {"broker": {"kind": "external", "external": {"url": "kafka://k.example.org"}}},
        "broker.external.url must begin with redis://, rediss://, redis+sentinel://, amqp:// or"
        " amqps://",
    ),
    "one database for two": (
        {"broker": REDIS, "ledger": REDIS},
        "broker.external.url and ledger.external.url are the same database: give each its own,"
        " e.g. \u2026/0 and \u2026/1",
    ),
    "an evicting Valkey": (
        {"valkey": {"extraConfig": "maxmemory-policy allkeys-lru"}},
        "valkey.extraConfig sets an evicting maxmemory-policy: queues and ledger rows would"
        " vanish when memory is short; leave noeviction and raise valkey.maxmemory",
    ),
    "events that nobody connects": (
        {"store": {"kind": "external", "external": {"prepare": {"eventTargets": ["MAREA"]}}}},
        "store.external.prepare.eventTargets is set, but nobody connects them: set"
        " store.external.prepare.enabled too",
    ),
    "results among uploads": (
        {"store": {"sourceBuckets": ["one", "two"], "resultsBucket": "two"}},
        'store.resultsBucket "two" is also one of store.sourceBuckets: results would be taken for'
        " uploads",
    ),
    "a setting with a value of its own": (
        {"settings": {"broker": {"url": "redis://elsewhere:6379/0"}}},
        "settings.broker.url has a value of its own: broker.external.url",
    ),
    "a setting's file": (
        {"settings": {"rules_file": "/rules.yaml"}},
        "settings.rules_file has a value of its own: rules",
    ),
    "fixed replicas under a scaler": (
        {"pools": [QUARANTINE | {"replicas": 2}]},
        "pools: quarantine has replicas, which autoscaler.mode builtin would change again: give"
        " scaling.minReplicas and scaling.maxReplicas instead, or set autoscaler.mode to none",
    ),
    "a least above the most": (
        {"pools": [QUARANTINE | {"scaling": {"minReplicas": 3, "maxReplicas": 2}}]},
        "pools: quarantine has scaling.minReplicas 3 above scaling.maxReplicas 2",
    ),
    "a floor above the most": (
        {"pools": [QUARANTINE | {"scaling": {"floor": 3, "maxReplicas": 2}}]},
        "pools: quarantine has scaling.floor 3 above scaling.maxReplicas 2",
    ),
    "another autoscaler beside ours": (
        {"extraObjects": [HPA]},
        "extraObjects: the HorizontalPodAutoscaler for marea-worker-images and this chart's"
        " autoscaler would undo each other's changes all the time; leave that object out, or let"
        " it own all pools by autoscaler.mode none",
    ),
    "another autoscaler beside a fixed number": (
        {"extraObjects": [HPA], "autoscaler": {"mode": "none"}},
        "extraObjects: the HorizontalPodAutoscaler for marea-worker-images and this chart would"
        " both own its replicas, and undo each other at every upgrade; unset the replicas of pool"
        " images (replicas: null)",
    ),
    "another autoscaler beside a fixed number of gateways": (
        {"extraObjects": [GATEWAYS_HPA]},
        "extraObjects: the HorizontalPodAutoscaler for marea-gateway and this chart would both own"
        " its replicas, and undo each other at every upgrade; unset gateway.replicas (null)",
    ),
}

KEDA_IS_MISSING = (
    "autoscaler.mode is keda, and this cluster knows no ScaledObject (keda.sh/v1alpha1): install"
    " KEDA first, or let autoscaler.mode be builtin, which needs nothing"
)


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_refuses_with_its_sentence(name: str) -> None:
    values, sentence = GUARDS[name]
    assert sentence in refusal(CLUSTERLESS | values)


def test_several_problems_are_told_at_once() -> None:
    text = refusal({"timeLimits": {"graceSeconds": 1}, "pools": [{"name": "images"}]})
    assert len(re.findall(r"^  - \S", text, re.MULTILINE)) == 3, text


def test_an_autoscaler_may_own_what_the_chart_does_not() -> None:
    pools = [{"name": "images", "replicas": None}, QUARANTINE]
    values = {"autoscaler": {"mode": "none"}, "pools": pools, "extraObjects": [HPA]}
    render(CLUSTERLESS | values)
    render(CLUSTERLESS | {"gateway": {"replicas": None}, "extraObjects": [GATEWAYS_HPA]})


def test_keda_is_asked_for_where_a_cluster_has_none() -> None:
    values = CLUSTERLESS | {"autoscaler": {"mode": "keda"}}
    cluster = ["apps/v1/Deployment"]
    assert KEDA_IS_MISSING in refusal(values, api_versions=cluster)
    render(values, api_versions=[*cluster, "keda.sh/v1alpha1/ScaledObject"])
    # Where nobody says what the cluster has, it is not presumed to have none.
    render(values)


def test_every_sentence_of_a_guard_is_tried_here() -> None:
    text = (CHART / "templates" / "_guards.tpl").read_text(encoding="utf-8")
    text += (CHART / "templates" / "_names.tpl").read_text(encoding="utf-8")
    sentences = re.findall(r'append \$problems \(?(?:printf )?"((?:[^"\\]|\\.)*)"', text)
    sentences += re.findall(r'fail \(printf "((?:[^"\\]|\\.)*)"', text)
    tried = [sentence for _, sentence in GUARDS.values()]
    tried += [refusal({}), KEDA_IS_MISSING]
    patterns = {each: as_pattern(each) for each in sentences if "cannot be installed" not in each}
    assert len(patterns) > 15
    untried = [
        each
        for each, pattern in patterns.items()
        if not any(re.search(pattern, text) for text in tried)
    ]
    assert untried == []


def as_pattern(form: str) -> str:
    """A Go format → what it can print."""
    return re.sub(r"%(?:s|d|q)", ".*", re.escape(form.replace("\\\\", "\\")).replace("\\%", "%"))
