"""What the chart writes for the processes is what the processes read, in every shape.

Each container's environment is taken as rendered, its files are laid out as its volumes would
be, with other passwords, and `load_settings` is asked: the chart and the code cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from render import EXTENSIONS, Object, find, name_of, pods, render
from settings_schema import owned_settings

from marea.settings import Settings, load_settings
from marea.settings_scaling import PoolScaling
from marea.wiring import build_declarations

PASSWORDS = 'p@ss:w/o"rd #?%40{}\\ $(HOME)'
"""Each secret is this, and where it comes from: every character that something may trip over."""
CLUSTERLESS = {"secrets": {"renderWithoutCluster": True}}
PROCESSES = ("gateway", "worker", "reconciler", "autoscaler", "prepare", "upload")


class Container:
    """A container of the platform's own image, with the files that it would find."""

    def __init__(self, objects: list[Object], pod: Object, container: Object, disk: Path) -> None:
        self.objects, self.pod, self.container, self.disk = objects, pod, container, disk

    def settings(self) -> Settings:
        """What the process would run with. Raises ConfigError as it would."""
        for mount in self.container["volumeMounts"]:
            volume = next(v for v in self.pod["spec"]["volumes"] if v["name"] == mount["name"])
            for name, text in self._files(volume):
                place = self.disk / mount["mountPath"].lstrip("/") / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
        return load_settings(dict(self._environment()))

    def _environment(self) -> Iterator[tuple[str, str]]:
        for entry in self.container["env"]:
            if "valueFrom" in entry:
                chosen = entry["valueFrom"]["secretKeyRef"]
                yield entry["name"], secret_text(chosen["name"], chosen["key"])
            elif entry["name"].endswith("_FILE") and entry["value"].startswith(("/etc/", "/run/")):
                yield entry["name"], str(self.disk / entry["value"].lstrip("/"))
            else:
                yield entry["name"], entry["value"]

    def _files(self, volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "configMap" in volume and volume["configMap"]["name"].endswith("-settings"):
            data = find(self.objects, "ConfigMap", volume["configMap"]["name"])["data"]
            for name, text in data.items():
                # The paths inside are those of the container.
                yield name, text.replace(": /etc/marea/", f": {self.disk}/etc/marea/")
        sources = [volume.get("secret") or {}]
        sources += [each["secret"] for each in volume.get("projected", {}).get("sources", ())]
        for source in sources:
            for item in source.get("items", ()):
                name = source.get("secretName") or source.get("name")
                yield item["path"], secret_text(name, item["key"])


def secret_text(name: str, key: str) -> str:
    if key == "api-tokens":
        return json.dumps({"admin:read+submit+admin": PASSWORDS})
    return f"{PASSWORDS} {key} of {name}\n"


def containers(objects: list[Object], disk: Path) -> dict[str, Container]:
    """Those of the platform, by pod and name."""
    found = {}
    for owner, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            if container["name"] in PROCESSES:
                key = f"{name_of(owner)}/{container['name']}"
                found[key] = Container(objects, pod, container, disk / name_of(owner))
    return found


@pytest.fixture
def processes(objects: list[Object], tmp_path: Path) -> dict[str, Container]:
    return containers(objects, tmp_path)


def settings_of(processes: dict[str, Container], name: str) -> Settings:
    return next(each for key, each in processes.items() if key.endswith(f"/{name}")).settings()


def test_every_process_accepts_its_settings(processes: dict[str, Container]) -> None:
    assert len(processes) >= 4
    for container in processes.values():
        assert container.settings().store.source_buckets


def test_passwords_arrive_whole_and_from_the_right_secret(
    processes: dict[str, Container], shape: str
) -> None:
    queueing = {"gateway", "worker", "reconciler", "autoscaler"}
    for name in sorted(queueing & {key.rpartition("/")[2] for key in processes}):
        settings = settings_of(processes, name)
        for section in (settings.broker, settings.ledger):
            told = section.password.get_secret_value()
            if shape == "aws":
                assert told == ""
            else:
                assert told.startswith(f"{PASSWORDS} password of ")
                assert ":" not in section.url.get_secret_value().partition("://")[2].split("@")[0]


def test_no_process_has_the_stores_key_of_another(
    processes: dict[str, Container], shape: str
) -> None:
    keys = {}
    for key, container in processes.items():
        store = container.settings().store
        keys[key.rpartition("/")[2]] = store.access_key, store.secret_key.get_secret_value()
    # The autoscaler has no business with the store.
    assert keys.pop("autoscaler", ("", "")) == ("", "")
    if shape == "aws":
        assert set(keys.values()) == {("", "")}
    else:
        assert len(set(keys.values())) == len(keys), keys


def test_only_the_gateway_and_the_notifier_have_their_secrets(
    processes: dict[str, Container], shape: str
) -> None:
    for key, container in processes.items():
        settings, process = container.settings(), key.rpartition("/")[2]
        assert bool(settings.gateway.event_token.get_secret_value()) is (process == "gateway")
        assert bool(settings.gateway.api_tokens) is (process == "gateway")
        signs = shape == "gitops" and process == "reconciler"
        assert bool(settings.notify.secret.get_secret_value()) is signs


def test_a_pools_worker_has_the_pools_limits() -> None:
    objects = render(shape="several-pools", api_versions=EXTENSIONS)
    for pool, slots, memory in (
        ("images", "4", 384 * 2**20),
        ("scans", "2", 2 * 2**30),
        ("tables", "1", 1536 * 2**20),
    ):
        deployment = find(objects, "Deployment", f"marea-worker-{pool}")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        values = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert values["MAREA_WORKER__CONCURRENCY"] == slots
        assert values["MAREA_WORKER__MEMORY_LIMIT_BYTES"] == str(memory)
        assert container["args"] == ["worker", "--pool", pool]


def test_the_autoscaler_has_every_pool_with_the_slots_of_its_workers(
    processes: dict[str, Container], objects: list[Object], shape: str
) -> None:
    if shape == "fixed-pools":
        assert not any(key.endswith("/autoscaler") for key in processes)
        return
    autoscaler = settings_of(processes, "autoscaler").autoscaler
    slots = {
        key.removeprefix("marea-worker-").removesuffix("/worker"): container.settings()
        for key, container in processes.items()
        if key.endswith("/worker")
    }
    apps = autoscaler.apps.keys()
    told = {name: pool.slots for name, pool in autoscaler.pools.items() if name not in apps}
    assert told == {name: settings.worker.concurrency for name, settings in slots.items()}
    assert autoscaler.release == "marea"
    assert autoscaler.namespace == "marea"
    assert name_of(find(objects, "Role", autoscaler.name)) == "marea-autoscaler"


def test_what_the_values_say_of_scaling_is_what_the_autoscaler_reads(tmp_path: Path) -> None:
    processes = containers(render(shape="several-pools"), tmp_path)
    autoscaler = settings_of(processes, "autoscaler").autoscaler
    assert autoscaler.mode == "builtin"
    told = (autoscaler.drain_s, autoscaler.idle_after_s, autoscaler.startup_s, autoscaler.budget)
    assert told == (30, 120, 20, 12)
    assert autoscaler.pools == {
        "images": PoolScaling(slots=4, min_replicas=1, max_replicas=8, weight=2, floor=2),
        # 1.5 CPUs requested and no limit: two slots.
        "scans": PoolScaling(slots=2, max_replicas=4, drain_s=900.5, idle_after_s=0),
        "tables": PoolScaling(slots=1, max_replicas=10),
        "quarantine": PoolScaling(slots=1, max_replicas=1),
    }


def test_without_a_budget_there_is_none(tmp_path: Path) -> None:
    processes = containers(render(CLUSTERLESS), tmp_path)
    assert settings_of(processes, "autoscaler").autoscaler.budget is None


def test_every_pool_that_rules_or_pipelines_name_has_its_workers(
    processes: dict[str, Container], objects: list[Object], shape: str
) -> None:
    declared = build_declarations(settings_of(processes, "gateway"))
    pools = {
        name_of(owner).removeprefix("marea-worker-")
        for owner, _ in pods(objects)
        if name_of(owner).startswith("marea-worker-")
    }
    # With one pool for images alone, tables are nobody's; whoever writes that wants it so.
    assert set(declared.pools) - pools == ({"tables"} if shape == "minimal" else set())


def test_rules_and_pipelines_are_read_as_written(tmp_path: Path) -> None:
    settings = settings_of(containers(render(shape="several-pools"), tmp_path), "gateway")
    declared = build_declarations(settings)
    assert declared.pipelines["card"].pool == "images"
    assert set(declared.pools) == {"images", "scans", "tables", "quarantine"}


def test_other_settings_reach_the_processes_with_their_exact_numbers(tmp_path: Path) -> None:
    # Helm keeps numbers as floats and writes large ones with an exponent.
    own = {
        "settings": {
            "gateway": {"upload_max_bytes": 123_456_789},
            "reconciler": {"sweep_interval_s": 300.5},
            "logs": {"level": "debug"},
        },
        "timeLimits": {"softSeconds": 1200, "hardSeconds": 1500},
    }
    processes = containers(render(CLUSTERLESS | own), tmp_path)
    settings = settings_of(processes, "gateway")
    assert settings.gateway.upload_max_bytes == 123_456_789
    assert settings.reconciler.sweep_interval_s == 300.5
    assert settings.logs.level == "debug"
    assert settings.worker.soft_time_limit_s == 1200
    assert settings.worker.hard_time_limit_s == 1500


def test_no_password_has_a_place_in_the_plain_settings() -> None:
    secrets = {
        f"{section}.{name}"
        for section, model in Settings.model_fields.items()
        for name, field in getattr(model.annotation, "model_fields", {}).items()
        if "SecretStr" in str(field.annotation)
    }
    assert secrets - owned_settings() == set()
