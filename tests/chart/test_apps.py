"""App pools: somebody's own Celery application, with nothing of Marea's in its container."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from cluster_network import (
    API_SERVER,
    DNS,
    INTERNET,
    METADATA,
    NEIGHBOUR,
    RELEASE_NAMESPACE,
    STRANGER,
    component,
    network_of,
    own_pods,
)
from network import Pod
from render import Object, find, find_all, name_of, pods, render, render_anew

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
RABBITMQ = {"broker": {"kind": "rabbitmq"}}
QUARANTINE = {"name": "quarantine", "concurrency": 1, "memoryPerJob": "640Mi"}
CLIENT = Pod("web", RELEASE_NAMESPACE, {"marea-client": "true"}, "10.244.9.8")
AFAR = Pod("web", "elsewhere", {"marea-client": "true"}, "10.244.9.9")


def shop(**celery: Any) -> dict[str, Any]:
    application = {"image": {"repository": "shop", "tag": "1"}, "app": "shop", **celery}
    return {"name": "shop", "concurrency": 3, "celery": application}


def with_pools(*pools: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**CLUSTERLESS, "pools": [QUARANTINE, *pools], **values}


def app_pod(objects: list[Object], pool: str = "shop") -> Object:
    return dict(find(objects, "Deployment", f"marea-worker-{pool}")["spec"]["template"])


def container_of(objects: list[Object], pool: str = "shop") -> Object:
    (container,) = app_pod(objects, pool)["spec"]["containers"]
    return dict(container)


def secret(objects: list[Object], name: str) -> dict[str, str]:
    data = find(objects, "Secret", name)["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


# The pod


def test_it_runs_their_program_on_their_queues_with_heartbeats_and_events() -> None:
    container = container_of(
        render(with_pools(shop(queues=["celery", "mail"], args=["--prefetch-multiplier", "1"])))
    )
    assert container["image"] == "shop:1"
    assert container["command"] == ["celery"]
    assert container["args"] == [
        *("--app", "shop", "worker", "--hostname", "shop@$(POD_NAME)"),
        *("--queues", "celery,mail", "--concurrency", "3", "--task-events"),
        *("--loglevel", "INFO", "--prefetch-multiplier", "1"),
    ]


def test_nothing_of_mareas_is_in_it(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        if "marea/app" not in pod["metadata"]["labels"]:
            continue
        text = json.dumps(pod["spec"])
        assert "MAREA_" not in text, name_of(owner)
        assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["tmp"]
        assert len(pod["spec"]["containers"]) == 1
        before = [container["name"] for container in pod["spec"].get("initContainers", [])]
        assert before in ([], ["wait"])
        assert pod["spec"]["serviceAccountName"] == "default"
        (container,) = pod["spec"]["containers"]
        assert not {"livenessProbe", "readinessProbe", "startupProbe"} & container.keys()


@pytest.mark.parametrize(
    "values",
    [
        with_pools(shop()),
        with_pools(shop(broker="external", existingSecret="theirs"), broker={"kind": "rabbitmq"}),
    ],
)
def test_celery_does_not_begin_before_its_redis_accepts_a_connection(
    values: dict[str, Any],
) -> None:
    spec = app_pod(render(values))["spec"]
    (waits,) = spec["initContainers"]
    assert waits["command"] == ["tini", "--", "python3", "-m", "marea.apps.wait"]
    (address,) = waits["env"]
    assert address in spec["containers"][0]["env"]
    assert waits["resources"]["limits"]["memory"] == "64Mi"


def test_a_bundled_rabbitmq_is_not_waited_for() -> None:
    assert "initContainers" not in app_pod(render(with_pools(shop(), **RABBITMQ)))["spec"]


def test_it_is_counted_and_budgeted_as_a_worker() -> None:
    objects = render(with_pools(shop()))
    labels = app_pod(objects)["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "worker"
    assert labels["marea/pool"] == "shop"
    assert find(objects, "PodDisruptionBudget", "marea-worker-shop")


def test_a_change_of_mareas_settings_does_not_restart_it() -> None:
    now = render(with_pools(shop()))
    then = render(with_pools(shop(), settings={"reconciler": {"sweep_interval_s": 7}}))
    assert app_pod(now) == app_pod(then)


def test_its_user_its_file_system_its_environment_and_its_grace_can_be_theirs() -> None:
    objects = render(
        with_pools(
            shop(
                podSecurityContext={"runAsUser": 1000},
                securityContext={"readOnlyRootFilesystem": False},
                envFrom=[{"secretRef": {"name": "django"}}],
                graceSeconds=900,
                command=["python", "-m", "celery"],
            )
        )
    )
    spec, container = app_pod(objects)["spec"], container_of(objects)
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["envFrom"] == [{"secretRef": {"name": "django"}}]
    assert container["command"] == ["python", "-m", "celery"]
    assert spec["terminationGracePeriodSeconds"] == 900


# Addresses


def variables(container: Object) -> dict[str, Any]:
    return {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in container["env"]
        if "secretKeyRef" in entry.get("valueFrom", {})
    }


def test_on_valkey_both_addresses_are_of_one_user_and_one_database() -> None:
    objects = render(with_pools(shop(database=5)))
    made = secret(objects, "marea-app-shop")
    for key in ("broker-url", "result-backend"):
        url = urlsplit(made[key])
        assert url.hostname == "marea-valkey.marea.svc"
        assert (url.username, url.password, url.path) == ("app-shop", made["password"], "/5")
    assert variables(container_of(objects)) == {
        "CELERY_BROKER_URL": {"name": "marea-app-shop", "key": "broker-url"},
        "CELERY_RESULT_BACKEND": {
            "name": "marea-app-shop",
            "key": "result-backend",
            "optional": True,
        },
    }


def test_on_rabbitmq_tasks_are_in_a_virtual_host_and_results_in_valkey() -> None:
    objects = render(with_pools(shop(), **RABBITMQ))
    made = secret(objects, "marea-app-shop")
    url = urlsplit(made["broker-url"])
    assert (url.scheme, url.username, url.path) == ("amqp", "app-shop", "/app-shop")
    assert urlsplit(made["result-backend"]).hostname == "marea-valkey.marea.svc"
    config = find(objects, "ConfigMap", "marea-rabbitmq")["data"]
    definitions = json.loads(config["definitions.json"])
    (rights,) = (each for each in definitions["permissions"] if each["user"] == "app-shop")
    assert rights["vhost"] == "app-shop"
    assert [each["vhost"] for each in definitions["permissions"] if each["user"] == "marea"] == [
        "marea"
    ]
    # Workers of any application: their replies and heartbeats come by transient queues.
    assert "permit.transient_nonexcl_queues = true" in config["rabbitmq.conf"]
    assert "permit.global_qos = true" in config["rabbitmq.conf"]


def test_without_apps_rabbitmq_permits_no_more_than_marea_needs() -> None:
    config = find(render(CLUSTERLESS | RABBITMQ), "ConfigMap", "marea-rabbitmq")["data"]
    assert "permit.transient_nonexcl_queues = false" in config["rabbitmq.conf"]
    assert "permit.global_qos = false" in config["rabbitmq.conf"]
    assert len(json.loads(config["definitions.json"])["users"]) == 1


def test_with_rabbitmq_and_a_ledger_elsewhere_the_chart_keeps_no_results() -> None:
    ledger = {"kind": "external", "external": {"url": "redis://redis.example.org/1"}}
    objects = render(with_pools(shop(), **RABBITMQ, ledger=ledger))
    assert "result-backend" not in secret(objects, "marea-app-shop")


def test_an_application_may_keep_its_results_where_it_does() -> None:
    objects = render(with_pools(shop(results=False)))
    assert variables(container_of(objects)).keys() == {"CELERY_BROKER_URL"}
    assert "result-backend" not in secret(objects, "marea-app-shop")


def test_a_broker_of_ones_own_is_a_secret_and_no_user_here() -> None:
    objects = render(with_pools(shop(broker="external", existingSecret="mine")))
    assert variables(container_of(objects))["CELERY_BROKER_URL"]["name"] == "mine"
    assert [name_of(each) for each in find_all(objects, "Secret") if "app" in name_of(each)] == []
    assert "app-shop" not in json.dumps(find(objects, "StatefulSet", "marea-valkey"))


def test_pools_of_one_project_share_its_user_and_have_the_rights_of_all_their_queues() -> None:
    other = shop(project="shop", queues=["mail"]) | {"name": "mailing"}
    objects = render(with_pools(shop(), other))
    names = {
        variables(container_of(objects, pool))["CELERY_BROKER_URL"]["name"]
        for pool in ("shop", "mailing")
    }
    assert names == {"marea-app-shop"}
    (server,) = find(objects, "StatefulSet", "marea-valkey")["spec"]["template"]["spec"][
        "containers"
    ]
    assert server["args"].count("app-shop") == 1
    assert {"~celery", "~mail"} <= set(server["args"])
    assert container_of(objects, "mailing")["args"][4] == "mailing@$(POD_NAME)"


def test_passwords_are_made_up_for_each_project_and_stand_in_its_secret_alone() -> None:
    pools = shop(), shop(database=3) | {"name": "books"}
    objects = render_anew(with_pools(*pools))
    made = [secret(objects, f"marea-app-{name}")["password"] for name in ("shop", "books")]
    assert len({*made}) == 2
    assert all(len(password) == 32 for password in made)
    others = json.dumps([each for each in objects if each["kind"] != "Secret"])
    assert not any(password in others for password in made)


# The autoscaler


def told(objects: list[Object]) -> dict[str, Any]:
    (container,) = find(objects, "Deployment", "marea-autoscaler")["spec"]["template"]["spec"][
        "containers"
    ]
    (text,) = (
        entry["value"] for entry in container["env"] if entry["name"] == "MAREA_AUTOSCALER__APPS"
    )
    return dict(json.loads(text))


def test_the_autoscaler_is_told_of_each_and_given_its_address_as_a_file() -> None:
    objects = render(shape="celery-app")
    apps = told(objects)
    assert apps == {
        "shop": {
            "queues": ["celery"],
            "broker_url_file": "/run/secrets/marea/apps/shop/broker-url",
            "silent_s": 90,
        },
        "shop-mail": {
            "queues": ["mail", "newsletter"],
            "broker_url_file": "/run/secrets/marea/apps/shop-mail/broker-url",
            "silent_s": 90,
        },
        "books": {
            "queues": ["celery"],
            "broker_url_file": "/run/secrets/marea/apps/books/broker-url",
            "silent_s": 0,
        },
    }
    spec = find(objects, "Deployment", "marea-autoscaler")["spec"]["template"]["spec"]
    (volume,) = (each for each in spec["volumes"] if each["name"] == "secrets")
    files = {
        item["path"]: source["secret"]["name"]
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }
    for pool, name in (("shop", "marea-app-shop"), ("books", "books-broker")):
        assert files[f"apps/{pool}/broker-url"] == name


def test_without_apps_it_is_told_of_none() -> None:
    assert "MAREA_AUTOSCALER__APPS" not in json.dumps(render(CLUSTERLESS))


def may_delete(objects: list[Object]) -> bool:
    rules = find(objects, "Role")["rules"]
    return any("delete" in rule["verbs"] and rule["resources"] == ["pods"] for rule in rules)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (CLUSTERLESS, False),
        (with_pools(shop()), True),
        (with_pools(shop(silentSeconds=0)), False),
        (with_pools(shop(), autoscaler={"mode": "hpa"}), True),
    ],
)
def test_it_may_delete_pods_only_where_it_replaces_silent_ones(
    values: dict[str, Any], expected: bool
) -> None:
    assert may_delete(render(values)) is expected


# The network


@pytest.mark.parametrize("shape", ["celery-app", "celery-app-rabbitmq"])
def test_tasks_come_from_pods_that_say_so_and_reach_the_broker_alone(shape: str) -> None:
    objects = render(shape=shape)
    network, own = network_of(objects), own_pods(objects)
    doors = {("marea-valkey", 6379)}
    if shape == "celery-app-rabbitmq":
        doors.add(("marea-rabbitmq", 5672))
    for source in (CLIENT, NEIGHBOUR, AFAR, STRANGER):
        found = {
            (name, port)
            for name, port in {*doors, ("marea-rabbitmq", 15672), ("marea-gateway", 6379)}
            if name in own and network.allows(source, own[name], port)
        }
        assert found == (doors if source is CLIENT else set()), source


def test_who_sends_tasks_can_be_said() -> None:
    web = [{"podSelector": {"matchLabels": {"app": "web"}}}]
    objects = render(with_pools(shop(), networkPolicy={"tasksFrom": web}))
    network, valkey = network_of(objects), own_pods(objects)["marea-valkey"]
    assert network.allows(NEIGHBOUR, valkey, 6379)
    assert not network.allows(CLIENT, valkey, 6379)


def test_where_no_app_is_on_the_bundled_broker_nobody_sends_tasks_to_it() -> None:
    for values in (CLUSTERLESS, with_pools(shop(broker="external", existingSecret="mine"))):
        objects = render(values)
        network, own = network_of(objects), own_pods(objects)
        assert not network.allows(CLIENT, own["marea-valkey"], 6379)
        for pod in own.values():
            if component(pod) == "app":
                assert not network.allows(pod, own["marea-valkey"], 6379)


def test_an_app_reaches_its_broker_and_whatever_it_needs_but_never_the_clouds_metadata() -> None:
    objects = render(with_pools(shop()))
    network, own = network_of(objects), own_pods(objects)
    pod = own["marea-worker-shop"]
    assert network.allows(pod, own["marea-valkey"], 6379)
    assert network.allows(pod, DNS, 53, "UDP")
    assert network.allows(pod, INTERNET, 5432)
    assert network.allows(pod, STRANGER, 5432)
    assert not network.allows(pod, METADATA, 80)
    for source in (NEIGHBOUR, CLIENT, STRANGER, own["marea-autoscaler"]):
        assert not network.allows(source, pod, 8080)
    # What is Marea's lets nobody in but its own and those it names.
    assert not network.allows(pod, own["marea-reconciler"], 8080)


def test_what_it_may_reach_besides_can_be_narrowed() -> None:
    objects = render(shape="celery-app")
    network, own = network_of(objects), own_pods(objects)
    mail, books = own["marea-worker-shop-mail"], own["marea-worker-books"]
    assert network.allows(mail, own["marea-valkey"], 6379)
    assert network.allows(mail, INTERNET, 587)
    assert not network.allows(mail, INTERNET, 5432)
    assert not network.allows(mail, own["marea-store"], 9000)
    assert network.allows(books, INTERNET, 5671)
    assert not network.allows(books, INTERNET, 443)
    assert not network.allows(books, API_SERVER, 443)
