"""Writes tests/chart/schemas/ anew: what a Kubernetes API server accepts, in a compact form.

`python tests/chart/make_schemas.py` reads the OpenAPI file and the CRDs inside the Go modules of
Kubernetes, Gateway API, KEDA and the Prometheus operator (`go mod download`, so needs Go and, the
first time, the network), keeps the kinds that the chart renders, drops every description, and
closes each object, so that a misspelt field is an error. The tests read the result and need
neither.

A new kind in the chart: add it below and run this; the tests name the kind that is missing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]

FOLDER = Path(__file__).parent / "schemas"
KUBERNETES = "k8s.io/kubernetes@v1.34.4"
POD_SECURITY = "k8s.io/pod-security-admission@v0.34.4"
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.1"
KEDA = "github.com/kedacore/keda/v2@v2.20.2"
PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

KINDS = (
    "apps/v1/Deployment",
    "apps/v1/StatefulSet",
    "autoscaling/v2/HorizontalPodAutoscaler",
    "batch/v1/CronJob",
    "batch/v1/Job",
    "networking.k8s.io/v1/Ingress",
    "networking.k8s.io/v1/NetworkPolicy",
    "policy/v1/PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1/Role",
    "rbac.authorization.k8s.io/v1/RoleBinding",
    "scheduling.k8s.io/v1/PriorityClass",
    "v1/ConfigMap",
    "v1/Namespace",
    "v1/PersistentVolumeClaim",
    "v1/Pod",
    "v1/Secret",
    "v1/Service",
    "v1/ServiceAccount",
)
CRDS = {
    "gateway-api": (
        GATEWAY_API,
        ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
    ),
    "keda": (
        KEDA,
        tuple(
            f"config/crd/bases/keda.sh_{plural}.yaml"
            for plural in ("scaledobjects", "triggerauthentications")
        ),
    ),
    "prometheus-operator": (
        PROMETHEUS_OPERATOR,
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
            for plural in ("podmonitors", "servicemonitors")
        ),
    ),
}

# resource.Quantity's own grammar; exponents and all suffixes.
QUANTITY = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$"
SCALARS: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": QUANTITY}]
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": {"type": "object"},
}
# Written by the API server, never by a chart. Without them, whoever renders one is told.
SERVER_FIELDS = {
    "ObjectMeta": {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
}
# The OpenAPI file leaves these as plain strings; the values are those of the API's Go constants.
ENUMS: dict[str, dict[str, list[str]]] = {
    "Container": {"imagePullPolicy": ["Always", "IfNotPresent", "Never"]},
    "ContainerPort": {"protocol": ["TCP", "UDP", "SCTP"]},
    "DeploymentStrategy": {"type": ["Recreate", "RollingUpdate"]},
    "HTTPIngressPath": {"pathType": ["Exact", "Prefix", "ImplementationSpecific"]},
    "LabelSelectorRequirement": {"operator": ["In", "NotIn", "Exists", "DoesNotExist"]},
    "NetworkPolicyPort": {"protocol": ["TCP", "UDP", "SCTP"]},
    "PodSpec": {
        "restartPolicy": ["Always", "OnFailure", "Never"],
        "dnsPolicy": ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    },
    "SeccompProfile": {"type": ["Localhost", "RuntimeDefault", "Unconfined"]},
    "ServicePort": {"protocol": ["TCP", "UDP", "SCTP"]},
    "ServiceSpec": {"type": ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]},
    "StatefulSetSpec": {"podManagementPolicy": ["OrderedReady", "Parallel"]},
    "StatefulSetUpdateStrategy": {"type": ["OnDelete", "RollingUpdate"]},
    "Toleration": {
        "effect": ["NoExecute", "NoSchedule", "PreferNoSchedule"],
        "operator": ["Equal", "Exists"],
    },
    "TopologySpreadConstraint": {"whenUnsatisfiable": ["DoNotSchedule", "ScheduleAnyway"]},
}
KEPT = ("type", "enum", "required", "minItems", "maxItems", "minLength", "maxLength")
KEPT += ("minimum", "maximum", "pattern", "minProperties", "maxProperties", "const")


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    write("kubernetes", kubernetes_schemas(module_folder(KUBERNETES)))
    for name, (module, files) in CRDS.items():
        folder = module_folder(module)
        kinds = dict(crd_schema(folder / file) for file in files)
        write(name, {"source": module, "kinds": kinds, "$defs": {}})
    write("pod-security-cases", pod_security_cases(module_folder(POD_SECURITY)))
    return 0


def module_folder(module: str) -> Path:
    """Where Go keeps the module; downloaded if it is not there yet."""
    answer = subprocess.run(
        ["go", "mod", "download", "-json", module], capture_output=True, text=True, cwd="/"
    )
    told = json.loads(answer.stdout or "{}")
    if "Dir" not in told:
        raise SystemExit(f"cannot get {module}: {told.get('Error', answer.stderr.strip())}")
    return Path(told["Dir"])


def kubernetes_schemas(folder: Path) -> Schema:
    """The kinds, and every definition that they reach."""
    text = (folder / "api/openapi-spec/swagger.json").read_text(encoding="utf-8")
    definitions: dict[str, Schema] = json.loads(text)["definitions"]
    names = {
        "/".join(filter(None, (kind["group"], kind["version"], kind["kind"]))): name
        for name, definition in definitions.items()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
        if len(definition["x-kubernetes-group-version-kind"]) == 1
    }
    kinds: dict[str, Schema] = {}
    defs: dict[str, Schema] = {}
    waiting: list[str] = []
    for kind in KINDS:
        definition = definitions[names[kind]]
        properties = {k: v for k, v in definition["properties"].items() if k != "status"}
        properties["apiVersion"] = {"enum": [kind.rpartition("/")[0]]}
        properties["kind"] = {"enum": [kind.rpartition("/")[2]]}
        required = sorted({"apiVersion", "kind", "metadata", *definition.get("required", ())})
        whole = {"type": "object", "properties": properties, "required": required}
        kinds[kind] = compact(whole)
        waiting += references(whole)
    while waiting:
        name = waiting.pop()
        if short(name) in defs:
            continue
        definition = SCALARS.get(name) or kept_fields(name, definitions[name])
        defs[short(name)] = compact(definition)
        waiting += references(definition)
    return {"source": KUBERNETES, "kinds": kinds, "$defs": dict(sorted(defs.items()))}


def kept_fields(name: str, definition: Schema) -> Schema:
    dropped = SERVER_FIELDS.get(last(name), set())
    enums = ENUMS.get(last(name), {})
    unknown = enums.keys() - definition.get("properties", {}).keys()
    if unknown:
        raise SystemExit(f"{last(name)} has no {', '.join(unknown)}; correct ENUMS")
    properties = {
        key: value | ({"enum": enums[key]} if key in enums else {})
        for key, value in definition.get("properties", {}).items()
        if key not in dropped
    }
    return definition | ({"properties": properties} if properties else {})


def compact(schema: Schema) -> Schema:
    """`schema` closed, and without what does not decide about validity."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{short(schema['$ref'].rpartition('/')[2])}"}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    small = {key: schema[key] for key in KEPT if key in schema}
    if schema.get("nullable") and isinstance(small.get("type"), str):
        small["type"] = [small["type"], "null"]
    if schema.get("format") == "byte":
        small["format"] = "byte"
    if isinstance(schema.get("items"), dict):
        small["items"] = compact(schema["items"])
    if schema.get("x-kubernetes-list-type") == "map":
        small["listMapKeys"] = schema["x-kubernetes-list-map-keys"]
    elif schema.get("x-kubernetes-patch-merge-key"):
        small["listMapKeys"] = [schema["x-kubernetes-patch-merge-key"]]
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            small[word] = [compact(part) for part in schema[word]]
    if "properties" in schema:
        small["properties"] = {k: compact(v) for k, v in sorted(schema["properties"].items())}
        # Inside oneOf and its like, properties only narrow what the parent closes.
        if small.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
            small["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        small["additionalProperties"] = compact(schema["additionalProperties"])
    return small


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.rpartition("/")[2]
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def short(name: str) -> str:
    """`io.k8s.api.core.v1.PodSpec` → `core.v1.PodSpec`."""
    return re.sub(r"^io\.k8s\.(api|apimachinery\.pkg(\.apis|\.api|\.util)?)\.", "", name)


def last(name: str) -> str:
    return name.rpartition(".")[2]


def crd_schema(file: Path) -> tuple[str, Schema]:
    """`group/version/Kind` and the schema of the CRD's stored version."""
    spec = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
    version = next(version for version in spec["versions"] if version["storage"])
    schema = compact(version["schema"]["openAPIV3Schema"])
    schema["properties"].pop("status", None)
    group_version, kind = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
    schema["properties"]["apiVersion"] = {"enum": [group_version]}
    schema["properties"]["kind"] = {"enum": [kind]}
    schema["properties"]["metadata"] = {"$ref": "#/$defs/meta.v1.ObjectMeta"}
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return f"{group_version}/{kind}", schema


def pod_security_cases(folder: Path) -> Schema:
    """The pods that Kubernetes itself tests the *restricted* level with, in version 1.34."""
    cases = {}
    for verdict in ("pass", "fail"):
        files = sorted((folder / "test/testdata/restricted/v1.34" / verdict).glob("*.yaml"))
        pods = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
        cases[verdict] = {
            name: {key: pod[key] for key in ("metadata", "spec")} for name, pod in pods.items()
        }
    return {"source": POD_SECURITY, **cases}


def write(name: str, content: Schema) -> None:
    """As JSON with one definition on a line, so that a new version is a readable change."""
    parts = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            rows = [f"  {json.dumps(k)}: {dense(v)}" for k, v in value.items()]
            parts.append(f"{json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n}")
        else:
            parts.append(f"{json.dumps(key)}: {dense(value)}")
    path = FOLDER / f"{name}.json"
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def dense(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    sys.exit(main())
