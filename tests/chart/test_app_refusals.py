"""App pools that cannot work, or would touch what is Marea's, are refused with a sentence each."""

from __future__ import annotations

import re
from typing import Any

import pytest
from render import CHART, refusal
from test_refusals import as_pattern

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
QUARANTINE = {"name": "quarantine", "concurrency": 1, "memoryPerJob": "640Mi"}


def app(name: str = "shop", **celery: Any) -> dict[str, Any]:
    application = {"image": {"repository": name, "tag": "1"}, "app": name, **celery}
    return {"name": name, "concurrency": 1, "celery": application}


EXTERNAL = {"kind": "external", "external": {"url": "redis://redis.example.org:6379/0"}}
REFUSED: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no version": (
        [app(image={"repository": "shop"})],
        {},
        "pools: shop needs celery.image.tag or celery.image.digest: which version of the"
        " application it runs",
    ),
    "a bundled broker that is not there": (
        [app()],
        {"broker": EXTERNAL},
        "pools: shop has celery.broker bundled, but broker.kind is external, so there is no"
        " bundled broker: let celery.broker be external and name a Secret with broker-url in"
        " celery.existingSecret",
    ),
    "an external broker without an address": (
        [app(broker="external")],
        {},
        "pools: shop has celery.broker external and no celery.existingSecret: name a Secret with"
        " broker-url and, where results are kept, result-backend",
    ),
    "a project on a broker of ones own": (
        [app(broker="external", existingSecret="mine", project="one")],
        {},
        "pools: shop has celery.project, which is about the bundled broker, and celery.broker"
        " external: pools of one project name the same celery.existingSecret there",
    ),
    "rights on a server that it does not use": (
        [app(broker="external", existingSecret="mine", keys=["cache:*"])],
        {},
        "pools: shop has celery.keys, which are rights on the bundled Valkey, and uses none",
    ),
    "the keys of everybody": (
        [app(keys=["*"])],
        {},
        'pools: shop may not have the Redis keys "*" (celery.keys): Marea\'s own could be among'
        " them; begin with a name of the application's",
    ),
    "a queue of mareas": (
        [app(queues=["images.high"])],
        {},
        'pools: shop cannot take tasks from the queue "images.high" (celery.queues): Marea\'s own'
        " queues are called so; give it another name, or a broker of its own",
    ),
    "one queue for two pools": (
        [app(), app("more", project="shop")],
        {},
        'pools: shop and more both take tasks from the queue "celery" of one broker, and each'
        " would count the other's work as its own: give each pool its own queues",
    ),
    "a project of two minds": (
        [app(), app("more", project="shop", queues=["more"], results=False)],
        {},
        'pools: more is of the project shop and has celery database 2, existingSecret "", results'
        ' false, where another pool of it has database 2, existingSecret "", results true: let'
        " them agree",
    ),
    "two projects in one database": (
        [app(), app("books", queues=["books"])],
        {},
        "pools: the projects shop and books both have celery.database 2 of the bundled Valkey:"
        " their workers would give back each other's tasks; give one another number, 2 to 15, or"
        " one celery.project to both if they are one",
    ),
    "a limit that nobody would keep": (
        [app() | {"memoryPerJob": "1Gi"}],
        {},
        "pools: shop has memoryPerJob, which Marea's own workers keep to and a Celery application"
        " does not: set resources.limits.memory, or celery.args: [--max-memory-per-child, KIB]",
    ),
    "the quarantine": (
        [app("quarantine")],
        {},
        "pools: quarantine runs jobs of Marea's alone and cannot have celery",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_sentence(name: str) -> None:
    pools, values, sentence = REFUSED[name]
    assert sentence in refusal({**CLUSTERLESS, "pools": [QUARANTINE, *pools], **values})


@pytest.mark.parametrize("keys", ["marea:*", "?area:*", "[m]area:*", "images.normal"])
def test_no_pattern_of_keys_reaches_what_is_mareas(keys: str) -> None:
    assert "may not have the Redis keys" in refusal(
        {**CLUSTERLESS, "pools": [QUARANTINE, app(keys=[keys])]}
    )


@pytest.mark.parametrize("queue", ["marea.ping", "unacked", "a b", "*", "images.normal"])
def test_no_queue_is_called_like_something_else(queue: str) -> None:
    said = refusal({**CLUSTERLESS, "pools": [QUARANTINE, app(queues=[queue])]})
    assert "celery.queues" in said or "/celery/queues/0" in said


@pytest.mark.parametrize("key", ["image", "app"])
def test_it_needs_an_image_and_an_application(key: str) -> None:
    pool = app()
    del pool["celery"][key]
    said = refusal({**CLUSTERLESS, "pools": [QUARANTINE, pool]})
    assert f"missing property '{key}'" in said


def test_where_secrets_cannot_be_kept_its_own_is_asked_for() -> None:
    assert "celery.existingSecret of the pool shop" in refusal({"pools": [QUARANTINE, app()]})


def test_every_sentence_of_a_guard_is_tried_here() -> None:
    text = (CHART / "templates" / "_apps_guards.tpl").read_text(encoding="utf-8")
    sentences = re.findall(r'append \$problems \(?(?:printf )?"((?:[^"\\]|\\.)*)"', text)
    tried = [sentence for _, _, sentence in REFUSED.values()]
    assert len(sentences) >= 12
    assert [
        each for each in sentences if not any(re.search(as_pattern(each), said) for said in tried)
    ] == []
