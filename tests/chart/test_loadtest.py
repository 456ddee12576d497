"""The load test as a Job: nothing unless it is asked for, run once, with the least rights."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_network import INTERNET, network_of, own_pods
from fake_cluster import cluster_with
from pydantic import SecretStr
from render import (
    CHART,
    Object,
    component_of,
    find,
    find_all,
    name_of,
    pods,
    refusal,
    render,
)

from loadtest.__main__ import _parser
from loadtest.conduct.store_report import read_place
from loadtest.scenario import load_scenario
from loadtest.target import target_of
from marea.gateway.auth import Gatekeeper
from marea.gateway.http_errors import NotAllowed
from marea.storage.naming import load_reports_prefix
from marea.storage.policies import PROCESSES

CLUSTERLESS: dict[str, Any] = {"secrets": {"renderWithoutCluster": True}}
SHAPE_FILE = CHART / "ci" / "loadtest-values.yaml"
OWN_FILES = yaml.safe_load(SHAPE_FILE.read_text(encoding="utf-8"))["loadtest"]["scenarioFiles"]
EXTERNAL: dict[str, Any] = {
    "store": {
        "kind": "external",
        "region": "eu-central-1",
        "resultsBucket": "acme-results",
        "external": {"existingSecret": "s3", "processSecrets": {"loadtest": "s3-load"}},
    }
}


def with_load(*more: dict[str, Any], **values: Any) -> list[Object]:
    whole: dict[str, Any] = CLUSTERLESS | {"loadtest": {"enabled": True} | values}
    for each in more:
        whole |= each
    return render(whole)


def job_of(objects: list[Object]) -> Object:
    (job,) = (each for each in find_all(objects, "Job") if component_of(each) == "loadtest")
    return job


def container_of(objects: list[Object]) -> Object:
    (container,) = job_of(objects)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def secret_of(objects: list[Object], name: str) -> dict[str, str]:
    data = find(objects, "Secret", name)["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


def test_unless_it_is_asked_for_there_is_nothing_of_it() -> None:
    objects = render(CLUSTERLESS)
    assert [name_of(each) for each in objects if component_of(each) == "loadtest"] == []
    assert "loadtest" not in json.dumps(objects)
    assert "load-token" not in json.dumps(objects)


def test_what_it_is_set_to_changes_nothing_while_it_is_off() -> None:
    values = {"scenario": "step", "run": "2", "scenarioFiles": OWN_FILES}
    off = CLUSTERLESS | {"loadtest": {"enabled": False} | values}
    kinds = ("Deployment", "StatefulSet", "Job", "NetworkPolicy", "ConfigMap", "Role")
    assert find_all(render(off), *kinds) == find_all(render(CLUSTERLESS), *kinds)


def test_it_runs_once_and_does_not_start_again_by_itself() -> None:
    spec = job_of(with_load())["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in spec
    assert job_of(with_load(ttlSecondsAfterFinished=0))["spec"]["ttlSecondsAfterFinished"] == 0


@pytest.mark.parametrize(
    "values",
    [
        {"scenario": "step"},
        {"run": "again"},
        {"scenarioFiles": OWN_FILES},
        {"scenarioFiles": OWN_FILES | {"expect.yaml": "provenance: another\n"}},
        {"activeDeadlineSeconds": 600},
        {"image": {"tag": "other"}},
    ],
    ids=["scenario", "run", "own files", "another limit", "deadline", "image"],
)
def test_whatever_else_is_asked_for_is_another_job(values: dict[str, Any]) -> None:
    assert name_of(job_of(with_load(**values))) != name_of(job_of(with_load()))


@pytest.mark.parametrize("run", ["2", 2])
def test_a_run_may_be_counted(run: Any) -> None:
    assert name_of(job_of(with_load(run=run))) != name_of(job_of(with_load(run=3)))


def test_each_text_of_a_scenario_counts() -> None:
    names = {
        name_of(job_of(with_load(scenarioFiles=OWN_FILES | {file: f"{OWN_FILES[file]}# more\n"})))
        for file in OWN_FILES
    }
    assert len(names) == 2


def test_what_is_not_its_own_leaves_it_alone() -> None:
    same = name_of(job_of(with_load()))
    for other in ({"gateway": {"replicas": 3}}, {"autoscaler": {"drainSeconds": 9}}):
        assert name_of(job_of(with_load(other))) == same


def test_the_longest_names_fit() -> None:
    objects = render(
        CLUSTERLESS | {"loadtest": {"enabled": True}}, release="r" * 53, namespace="n" * 63
    )
    # A Job's name is a label of its pods.
    assert len(name_of(job_of(objects))) <= 63


def test_the_command_is_one_that_the_load_kit_takes() -> None:
    container = container_of(with_load())
    assert container["command"] == shlex.split("tini -- python -m loadtest")
    options = _parser().parse_args(container["args"])
    assert (options.scenario, str(options.env), options.namespace) == ("spike", "-", "marea")
    assert options.wait == 300
    assert str(options.out).startswith("/tmp/")
    assert load_scenario(options.scenario).name == "spike"


def test_its_report_goes_where_its_key_may_write() -> None:
    for settings, reserved in (({}, ".marea/"), ({"store": {"reserved_prefix": "own/"}}, "own/")):
        arguments = container_of(with_load({"settings": settings}))["args"]
        place = read_place(_parser().parse_args(arguments).store_report)
        assert (place.bucket, place.prefix) == ("results", load_reports_prefix(reserved))


def environment_of(objects: list[Object], folder: Path) -> dict[str, str]:
    """What the container reads, with its secrets' files in `folder`."""
    found = {}
    for entry in container_of(objects)["env"]:
        found[entry["name"]] = entry["value"].replace("/run/secrets/marea", str(folder))
    (volume,) = (
        each["projected"]
        for each in job_of(objects)["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "secrets"
    )
    for source in (each["secret"] for each in volume["sources"]):
        for item in source["items"]:
            (folder / item["path"]).write_text(f"{item['key']} of {source['name']}\n")
    return found


def test_it_finds_the_bundled_store_and_the_gateway(tmp_path: Path) -> None:
    target = target_of(environment_of(with_load(), tmp_path))
    assert target.store.endpoint_url == "http://marea-store.marea.svc:9000"
    assert target.store.access_key == "marea-loadtest"
    assert target.store.secret_key == "loadtest of marea-store"
    assert target.gateway_url == "http://marea-gateway.marea.svc:8080"
    assert target.api_token == "load-token of marea-gateway"
    assert (target.source_bucket, target.results_bucket) == ("uploads", "results")


def test_it_finds_a_store_elsewhere_with_a_key_of_its_own(tmp_path: Path) -> None:
    target = target_of(environment_of(with_load(EXTERNAL), tmp_path))
    assert target.store.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    assert target.store.region == "eu-central-1"
    assert target.store.access_key == "access-key of s3-load"
    assert target.store.secret_key == "secret-key of s3-load"
    assert target.results_bucket == "acme-results"


def test_no_broker_and_no_ledger_is_told_to_it() -> None:
    told = json.dumps(job_of(with_load()))
    assert "BROKER" not in told
    assert "valkey" not in told


def test_its_token_may_read_and_submit_and_nothing_else() -> None:
    told = secret_of(with_load(), "marea-gateway")
    tokens = json.loads(told["api-tokens"])
    assert tokens["load:read+submit"] == told["load-token"]
    assert tokens.keys() == {"admin:read+submit+admin", "load:read+submit"}
    gatekeeper = Gatekeeper(
        SecretStr(told["event-token"]),
        {label: SecretStr(token) for label, token in tokens.items()},
    )
    header = f"Bearer {told['load-token']}"
    assert gatekeeper.admit(header, "read") == gatekeeper.admit(header, "submit") == "load"
    with pytest.raises(NotAllowed):
        gatekeeper.admit(header, "admin")


def test_beside_keda_both_have_their_tokens() -> None:
    told = secret_of(with_load({"autoscaler": {"mode": "keda"}}), "marea-gateway")
    assert json.loads(told["api-tokens"]).keys() == {
        "admin:read+submit+admin",
        "scaling:read",
        "load:read+submit",
    }
    assert told["load-token"] != told["scaling-token"]


def test_an_upgrade_adds_its_keys_and_keeps_all_others(tmp_path: Path) -> None:
    there = [
        kept("marea-gateway", {"event-token": "e", "api-tokens": '{"ops:read":"b"}'}),
        kept("marea-store", dict.fromkeys(("root-password", *PROCESSES[:-1]), "kept")),
    ]
    with cluster_with(there, tmp_path) as cluster:
        objects = render(CLUSTERLESS | {"loadtest": {"enabled": True}}, cluster=cluster)
    gateway, store = secret_of(objects, "marea-gateway"), secret_of(objects, "marea-store")
    assert json.loads(gateway["api-tokens"]) == {
        "ops:read": "b",
        "load:read+submit": gateway["load-token"],
    }
    assert gateway["event-token"] == "e"
    assert {key for key, text in store.items() if text == "kept"} == {
        "root-password",
        *PROCESSES[:-1],
    }
    assert len(store["loadtest"]) == 32


def kept(name: str, texts: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "marea"},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()},
    }


def test_the_gateway_starts_anew_to_know_its_token() -> None:
    before, after = (
        find(objects, "Deployment", "marea-gateway")["spec"]["template"]
        for objects in (render(CLUSTERLESS), with_load())
    )
    assert before != after


def test_its_user_is_made_in_the_bundled_store_like_every_other() -> None:
    objects = with_load()
    (job,) = (each for each in find_all(objects, "Job") if component_of(each) == "store-prepare")
    (users,) = (
        each["secret"]["items"]
        for each in job["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "users"
    )
    assert [item["path"] for item in users] == list(PROCESSES)
    assert {item["key"] for item in users} <= secret_of(objects, "marea-store").keys()


def test_its_rights_are_to_list_pods_and_deployments_of_its_namespace() -> None:
    objects = with_load()
    role = find(objects, "Role", "marea-loadtest")
    assert [(each["resources"], each["verbs"]) for each in role["rules"]] == [
        (["deployments"], ["list"]),
        (["pods"], ["list"]),
    ]
    binding = find(objects, "RoleBinding", "marea-loadtest")
    assert binding["roleRef"]["name"] == "marea-loadtest"
    (subject,) = binding["subjects"]
    account = job_of(objects)["spec"]["template"]["spec"]["serviceAccountName"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", account)
    assert find_all(objects, "ClusterRole", "ClusterRoleBinding") == []


def test_the_users_own_account_and_rights_are_taken_as_they_are() -> None:
    own = {"serviceAccount": {"create": False, "name": "mine"}, "rbac": {"create": False}}
    objects = with_load(**own)
    assert job_of(objects)["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    kinds = ("Role", "RoleBinding", "ServiceAccount")
    assert [each for each in find_all(objects, *kinds) if component_of(each) == "loadtest"] == []


def test_its_image_is_the_platforms_in_another_shape_unless_it_is_named() -> None:
    image = {"image": {"repository": "own/marea", "tag": "7"}}
    assert container_of(with_load(image))["image"] == "own/marea:7-load"
    assert container_of(with_load(image, image={"tag": "x"}))["image"] == "own/marea:x"
    by_digest = {"repository": "other/load", "digest": f"sha256:{'0' * 64}"}
    assert container_of(with_load(image, image=by_digest))["image"] == (
        f"other/load@sha256:{'0' * 64}"
    )
    # The platform's own digest is that of another image.
    pinned = {"image": {"digest": f"sha256:{'1' * 64}"}}
    assert container_of(with_load(pinned))["image"].endswith("-load")


def test_a_scenario_of_ones_own_is_mounted_and_can_be_run(tmp_path: Path) -> None:
    objects = with_load(scenario="mine", scenarioFiles=OWN_FILES)
    container = container_of(objects)
    place = _parser().parse_args(container["args"]).scenario
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "scenario")
    assert (mount["mountPath"], mount["readOnly"]) == (place, True)
    (volume,) = (
        each
        for each in job_of(objects)["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "scenario"
    )
    config = find(objects, "ConfigMap", volume["configMap"]["name"])
    folder = tmp_path / place.lstrip("/")
    folder.mkdir(parents=True)
    for name, text in config["data"].items():
        (folder / name).write_text(text)
    scenario = load_scenario(str(folder))
    assert scenario.name == "mine"
    assert scenario.load.shape.duration_s > 0


def test_one_of_the_images_own_mounts_nothing() -> None:
    objects = with_load()
    assert {each["name"] for each in container_of(objects)["volumeMounts"]} == {"secrets", "tmp"}
    assert [
        each for each in find_all(objects, "ConfigMap") if component_of(each) == "loadtest"
    ] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scenario": "../etc"}, "'/loadtest/scenario'"),
        ({"activeDeadlineSeconds": 5}, "'/loadtest/activeDeadlineSeconds'"),
    ],
)
def test_what_cannot_run_is_refused_and_named(values: dict[str, Any], words: str) -> None:
    assert words in refusal(CLUSTERLESS | {"loadtest": {"enabled": True} | values})


def test_it_is_let_in_where_others_are_named() -> None:
    own = {"networkPolicy": {"apiFrom": [INGRESS], "storeFrom": [INGRESS]}}
    objects = with_load(own)
    network, there = network_of(objects), own_pods(objects)
    load = there[name_of(job_of(objects))]
    assert network.allows(load, there["marea-gateway"], 8080)
    assert network.allows(load, there["marea-store"], 9000)
    assert not network.allows(load, there["marea-valkey"], 6379)


INGRESS = {"podSelector": {"matchLabels": {"app": "ingress"}}}


def test_it_reaches_the_address_that_upload_forms_lead_to() -> None:
    known = {"networkPolicy": {"apiServer": {"cidrs": ["10.96.0.1/32"]}}}
    for public, is_open in (("", False), ("https://s3.example.org:9443", True)):
        objects = with_load(known, {"store": {"publicUrl": public}})
        load = own_pods(objects)[name_of(job_of(objects))]
        assert network_of(objects).allows(load, INTERNET, 9443) is is_open


def test_the_platforms_own_pods_do_not_get_its_keys() -> None:
    for owner, pod in pods(with_load()):
        if owner["kind"] in ("Deployment", "StatefulSet"):
            told = json.dumps(pod["spec"])
            assert "loadtest" not in told, name_of(owner)
            assert "load-token" not in told, name_of(owner)


NOTES_AS_OBJECT = """apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: marea, labels: {}}
data:
  text: {{ include "notes" . | toJson }}
"""


def test_the_notes_name_the_job_and_the_place_of_its_report(tmp_path: Path) -> None:
    chart = tmp_path / "marea"
    shutil.copytree(CHART, chart)
    text = (chart / "templates/NOTES.txt").read_text(encoding="utf-8")
    (chart / "templates/_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
    (chart / "templates/notes.yaml").write_text(NOTES_AS_OBJECT)

    def told(values: dict[str, Any]) -> str:
        shown = render(values, chart=chart, show_only=["templates/notes.yaml"])
        return str(find(shown, "ConfigMap", "notes")["data"]["text"])

    values: dict[str, Any] = CLUSTERLESS | {"loadtest": {"enabled": True}}
    name = name_of(job_of(render(values)))
    assert f"logs --follow job/{name}\n" in told(values)
    assert "aws s3 cp --recursive s3://results/.marea/loadtest/ " in told(values)
    assert "load test" not in told(CLUSTERLESS)
