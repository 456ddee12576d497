"""The modes keda and hpa: what the other scaler is told, by which token, and what is kept."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import pytest
from cluster_network import behind_service
from fake_cluster import cluster_with
from pydantic import SecretStr
from render import Object, Refused, find, find_all, name_of, render
from values_schema import load_defaults

from marea.gateway.app import ROUTES
from marea.gateway.auth import Gatekeeper, Scope
from marea.gateway.http_errors import NotAllowed
from marea.telemetry.metrics import POOL_GAUGES

KEDA: dict[str, Any] = {
    "secrets": {"renderWithoutCluster": True},
    "autoscaler": {"mode": "keda"},
}
HPA: dict[str, Any] = KEDA | {"autoscaler": {"mode": "hpa"}}
BUILTIN: dict[str, Any] = KEDA | {"autoscaler": {"mode": "builtin"}}
POOLS = ("images", "tables", "quarantine")


def secret(objects: list[Object]) -> dict[str, str]:
    data = find(objects, "Secret", "marea-gateway")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def kept_secret(**texts: str) -> Object:
    data = {
        key.replace("_", "-"): base64.b64encode(text.encode()).decode()
        for key, text in texts.items()
    }
    metadata = {"name": "marea-gateway", "namespace": "marea"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def render_over(there: Object, values: dict[str, Any], folder: Path) -> list[Object]:
    """As an upgrade of a cluster in which `there` is."""
    with cluster_with([there], folder) as cluster:
        return render(values, cluster=cluster)


def test_each_mode_has_its_own_scaler_and_no_other() -> None:
    def scalers(mode: str) -> list[tuple[str, str]]:
        objects = render(KEDA | {"autoscaler": {"mode": mode}})
        kinds = ("ScaledObject", "TriggerAuthentication", "HorizontalPodAutoscaler")
        return [(each["kind"], name_of(each)) for each in find_all(objects, *kinds)]

    workers = [f"marea-worker-{pool}" for pool in POOLS]
    assert scalers("builtin") == scalers("none") == []
    assert scalers("hpa") == [("HorizontalPodAutoscaler", name) for name in workers]
    assert scalers("keda") == [
        *(("ScaledObject", name) for name in workers),
        ("TriggerAuthentication", "marea-scaling"),
    ]


@pytest.mark.parametrize("shape", ["keda", "hpa"])
def test_every_pool_has_a_scaler_with_its_bounds(shape: str) -> None:
    objects = render(shape=shape)
    deployments = {name_of(each) for each in find_all(objects, "Deployment")}
    found = {}
    for scaler in find_all(objects, "ScaledObject", "HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        target = spec["scaleTargetRef"]
        assert (target["apiVersion"], target["kind"]) == ("apps/v1", "Deployment")
        assert target["name"] in deployments
        least = spec.get("minReplicaCount", spec.get("minReplicas"))
        found[target["name"]] = (least, spec.get("maxReplicaCount", spec.get("maxReplicas")))
    if shape == "keda":
        wanted = {"images": (1, 30), "tables": (0, 10), "quarantine": (0, 1)}
    else:
        # An HPA that may not go to 0 keeps one.
        wanted = {"images": (2, 30), "tables": (1, 10), "quarantine": (1, 1)}
    assert found == {f"marea-worker-{pool}": bounds for pool, bounds in wanted.items()}


@pytest.mark.parametrize("shape", ["keda", "hpa"])
def test_it_goes_up_to_the_number_in_one_step_and_waits_a_minute_before_it_goes_down(
    shape: str,
) -> None:
    for scaler in find_all(render(shape=shape), "ScaledObject", "HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        behavior = spec.get("behavior")
        if scaler["kind"] == "ScaledObject":
            behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        most = spec.get("maxReplicaCount", spec.get("maxReplicas"))
        assert behavior["scaleUp"] == {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": most, "periodSeconds": 15}],
        }
        assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 60


def test_keda_asks_the_gateway_for_the_number_of_the_pool() -> None:
    objects = render(shape="keda")
    for scaler in find_all(objects, "ScaledObject"):
        (trigger,) = scaler["spec"]["triggers"]
        assert (trigger["type"], trigger["metricType"]) == ("metrics-api", "AverageValue")
        asked = dict(trigger["metadata"])
        url = urlsplit(asked.pop("url"))
        assert asked == {"valueLocation": "replicas", "targetValue": "1", "authMode": "bearer"}
        host = str(url.hostname).split(".")
        assert host[1:] == ["marea", "svc"]
        places = set(behind_service(objects, host[0], int(url.port or 80)))
        assert places == {("marea-gateway", 8080)}
        assert url.path == f"/v1/scaling/{name_of(scaler).removeprefix('marea-worker-')}"
        # What is not known is an error, upon which it is to keep what there is.
        assert "fallback" not in scaler["spec"]
        assert scaler["spec"]["pollingInterval"] == 5
        assert scaler["spec"]["cooldownPeriod"] == 60


def test_what_is_asked_for_is_what_the_gateway_answers() -> None:
    (scaler, *_) = find_all(render(KEDA), "ScaledObject")
    (trigger,) = scaler["spec"]["triggers"]
    asked = urlsplit(trigger["metadata"]["url"]).path
    (route,) = (
        route
        for route in ROUTES
        if route.method == "GET" and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), asked)
    )
    answer = get_type_hints(route.endpoint)["return"]
    assert trigger["metadata"]["valueLocation"] in answer.model_fields
    metric = load_defaults()["autoscaler"]["hpa"]["metricName"]
    assert metric in POOL_GAUGES


def test_kedas_token_is_one_that_the_gateway_lets_read_and_nothing_else() -> None:
    objects = render(KEDA)
    (source,) = find(objects, "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert (source["parameter"], source["name"]) == ("token", "marea-gateway")
    for scaler in find_all(objects, "ScaledObject"):
        (trigger,) = scaler["spec"]["triggers"]
        assert trigger["authenticationRef"] == {"name": "marea-scaling"}
    told = secret(objects)
    tokens = json.loads(told["api-tokens"])
    assert tokens["scaling:read"] == told[source["key"]]
    assert tokens.keys() == {"admin:read+submit+admin", "scaling:read"}
    gatekeeper = Gatekeeper(
        SecretStr(told["event-token"]),
        {label: SecretStr(token) for label, token in tokens.items()},
    )
    header = f"Bearer {told[source['key']]}"
    assert gatekeeper.admit(header, "read") == "scaling"
    scopes: tuple[Scope, ...] = ("submit", "admin")
    for scope in scopes:
        with pytest.raises(NotAllowed):
            gatekeeper.admit(header, scope)


def test_with_a_secret_of_ones_own_keda_reads_that() -> None:
    objects = render(KEDA | {"gateway": {"existingSecret": "tokens"}})
    (source,) = find(objects, "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert (source["name"], source["key"]) == ("tokens", "scaling-token")
    assert [name_of(each) for each in find_all(objects, "Secret")].count("marea-gateway") == 0


def test_where_keda_does_not_ask_there_is_no_token_for_it() -> None:
    told = secret(render(BUILTIN))
    assert told.keys() == {"event-token", "api-tokens"}
    assert json.loads(told["api-tokens"]).keys() == {"admin:read+submit+admin"}


OLD_TOKENS = '{ "admin:read+submit+admin": "a<&>", "ops:read": "b" }'


def test_an_upgrade_to_keda_adds_its_token_and_keeps_all_others(tmp_path: Path) -> None:
    there = kept_secret(event_token="e", api_tokens=OLD_TOKENS)
    told = secret(render_over(there, KEDA, tmp_path))
    tokens = json.loads(told["api-tokens"])
    assert tokens.pop("scaling:read") == told["scaling-token"]
    assert len(told["scaling-token"]) == 32
    assert tokens == json.loads(OLD_TOKENS)
    assert told["event-token"] == "e"


def test_the_next_upgrade_changes_none_of_them(tmp_path: Path) -> None:
    tokens = '{"ops:read":"b","scaling:read":"s"}'
    there = kept_secret(event_token="e", api_tokens=tokens, scaling_token="s")
    assert (
        find(render_over(there, KEDA, tmp_path), "Secret", "marea-gateway")["data"]
        == (there["data"])
    )


def test_a_token_changed_by_hand_is_told_to_the_gateway(tmp_path: Path) -> None:
    tokens = '{"ops:read":"b","scaling:read":"old"}'
    there = kept_secret(event_token="e", api_tokens=tokens, scaling_token="new")
    told = secret(render_over(there, KEDA, tmp_path))
    assert told["scaling-token"] == "new"
    assert json.loads(told["api-tokens"]) == {"ops:read": "b", "scaling:read": "new"}


def test_back_from_keda_and_there_again_the_token_is_the_same(tmp_path: Path) -> None:
    tokens = '{"ops:read": "b", "scaling:read": "s"}'
    there = kept_secret(event_token="e", api_tokens=tokens, scaling_token="s")
    back = secret(render_over(there, BUILTIN, tmp_path))
    assert back == {"event-token": "e", "api-tokens": tokens}
    again = kept_secret(event_token="e", api_tokens=tokens)
    assert secret(render_over(again, KEDA, tmp_path))["scaling-token"] == "s"


def test_tokens_that_are_no_object_are_refused_and_not_overwritten(tmp_path: Path) -> None:
    there = kept_secret(event_token="e", api_tokens="secret")
    with pytest.raises(Refused, match="api-tokens is not a JSON object of tokens") as told:
        render_over(there, KEDA, tmp_path)
    assert "delete that key to have it made anew" in str(told.value)
    assert secret(render_over(there, BUILTIN, tmp_path))["api-tokens"] == "secret"


def test_an_hpa_asks_for_the_pools_number_by_the_metrics_name() -> None:
    for scaler in find_all(render(shape="hpa"), "HorizontalPodAutoscaler"):
        (metric,) = scaler["spec"]["metrics"]
        pool = name_of(scaler).removeprefix("marea-worker-")
        assert metric["external"] == {
            "metric": {
                "name": "marea_replicas_wanted",
                "selector": {"matchLabels": {"pool": pool, "service": "marea-gateway"}},
            },
            "target": {"type": "AverageValue", "averageValue": "1"},
        }


def test_other_labels_do_not_choose_another_pool() -> None:
    values = HPA | {"autoscaler": {"mode": "hpa", "hpa": {"metricLabels": {"pool": "mine"}}}}
    for scaler in find_all(render(values), "HorizontalPodAutoscaler"):
        (metric,) = scaler["spec"]["metrics"]
        pool = name_of(scaler).removeprefix("marea-worker-")
        assert metric["external"]["metric"]["selector"]["matchLabels"] == {"pool": pool}


def test_an_hpa_goes_to_zero_if_it_may() -> None:
    values = HPA | {"autoscaler": {"mode": "hpa", "hpa": {"scaleToZero": True}}}
    scalers = find_all(render(values), "HorizontalPodAutoscaler")
    assert {each["spec"]["minReplicas"] for each in scalers} == {0}


def test_kedas_hpa_and_the_charts_do_not_take_each_other_for_themselves() -> None:
    charts = {name_of(each) for each in find_all(render(HPA), "HorizontalPodAutoscaler")}
    kedas = {
        each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"]
        for each in find_all(render(KEDA), "ScaledObject")
    }
    assert len(kedas) == len(POOLS)
    assert not charts & kedas
    # Without it KEDA's webhook refuses the ScaledObject as long as this HPA is there.
    for each in find_all(render(HPA), "HorizontalPodAutoscaler"):
        assert each["metadata"]["annotations"]["validations.keda.sh/hpa-ownership"] == "false"
