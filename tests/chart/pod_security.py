"""The *restricted* Pod Security Standard of Kubernetes 1.34, as functions of a pod.

Each rule is one check of `k8s.io/pod-security-admission` (the names are its identifiers), and
answers with the path and value that it objects to. The tests run them on the pods which
Kubernetes tests its own checks with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Pod = Mapping[str, Any]
"""`metadata` and `spec`, as in a Pod or in a template."""
Found = Iterator[tuple[str, Any]]

SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
VOLUME_KINDS = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
CONFINED = ("RuntimeDefault", "Localhost")
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


def violations(pod: Pod) -> list[str]:
    """What the restricted level forbids in `pod`, a sentence each; [] if it is admitted."""
    return [f"{rule.__name__}: {path} is {value!r}" for rule in RULES for path, value in rule(pod)]


def containers(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each container of every kind, with its path."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod["spec"].get(kind) or ():
            yield f"{kind}[{container['name']}]", container


def contexts(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every security context, the pod's own first."""
    yield "securityContext", pod["spec"].get("securityContext") or {}
    yield from container_contexts(pod)


def container_contexts(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, container in containers(pod):
        yield f"{path}.securityContext", container.get("securityContext") or {}


def host_namespaces(pod: Pod) -> Found:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod["spec"].get(key):
            yield key, True


def privileged(pod: Pod) -> Found:
    for path, context in container_contexts(pod):
        if context.get("privileged"):
            yield f"{path}.privileged", True


def windows_host_process(pod: Pod) -> Found:
    for path, context in contexts(pod):
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield f"{path}.windowsOptions.hostProcess", True


def host_ports(pod: Pod) -> Found:
    for path, container in containers(pod):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield f"{path}.ports.hostPort", port["hostPort"]


def host_probes_and_host_lifecycle(pod: Pod) -> Found:
    for path, container in containers(pod):
        lifecycle = container.get("lifecycle") or {}
        handlers = {key: lifecycle.get(key) for key in ("postStart", "preStop")}
        for key in ("livenessProbe", "readinessProbe", "startupProbe"):
            handlers[key] = container.get(key)
        for key, handler in handlers.items():
            for action in ("httpGet", "tcpSocket"):
                host = ((handler or {}).get(action) or {}).get("host")
                if host:
                    yield f"{path}.{key}.{action}.host", host


def app_armor_profile(pod: Pod) -> Found:
    for path, context in contexts(pod):
        kind = (context.get("appArmorProfile") or {}).get("type")
        if kind is not None and kind not in CONFINED:
            yield f"{path}.appArmorProfile.type", kind
    for key, value in (pod["metadata"].get("annotations") or {}).items():
        named = key.startswith("container.apparmor.security.beta.kubernetes.io/")
        if named and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            yield f"annotations[{key}]", value


def se_linux_options(pod: Pod) -> Found:
    for path, context in contexts(pod):
        options = context.get("seLinuxOptions") or {}
        if (options.get("type") or "") not in SELINUX_TYPES:
            yield f"{path}.seLinuxOptions.type", options["type"]
        for key in ("user", "role"):
            if options.get(key):
                yield f"{path}.seLinuxOptions.{key}", options[key]


def proc_mount(pod: Pod) -> Found:
    for path, context in container_contexts(pod):
        if context.get("procMount") not in (None, "Default"):
            yield f"{path}.procMount", context["procMount"]


def sysctls(pod: Pod) -> Found:
    for sysctl in (pod["spec"].get("securityContext") or {}).get("sysctls") or ():
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield "securityContext.sysctls", sysctl["name"]


def restricted_volumes(pod: Pod) -> Found:
    for volume in pod["spec"].get("volumes") or ():
        for kind in volume.keys() - {"name"} - VOLUME_KINDS:
            yield f"volumes[{volume['name']}]", kind


def allow_privilege_escalation(pod: Pod) -> Found:
    for path, context in container_contexts(pod):
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{path}.allowPrivilegeEscalation", context.get("allowPrivilegeEscalation")


def run_as_non_root(pod: Pod) -> Found:
    whole, *each = contexts(pod)
    for path, context in each:
        value = context.get("runAsNonRoot", whole[1].get("runAsNonRoot"))
        if value is not True:
            yield f"{path}.runAsNonRoot", value
    if whole[1].get("runAsNonRoot") is False:
        yield f"{whole[0]}.runAsNonRoot", False


def run_as_user(pod: Pod) -> Found:
    for path, context in contexts(pod):
        if context.get("runAsUser") == 0:
            yield f"{path}.runAsUser", 0


def seccomp_profile(pod: Pod) -> Found:
    whole, *each = contexts(pod)
    default = (whole[1].get("seccompProfile") or {}).get("type")
    if default is not None and default not in CONFINED:
        yield f"{whole[0]}.seccompProfile.type", default
    for path, context in each:
        kind = (context.get("seccompProfile") or {}).get("type", default)
        if kind not in CONFINED:
            yield f"{path}.seccompProfile.type", kind


def capabilities(pod: Pod) -> Found:
    for path, context in container_contexts(pod):
        chosen = context.get("capabilities") or {}
        if "ALL" not in (chosen.get("drop") or ()):
            yield f"{path}.capabilities.drop", chosen.get("drop")
        added = set(chosen.get("add") or ()) - {"NET_BIND_SERVICE"}
        if added:
            yield f"{path}.capabilities.add", sorted(added)


RULES: tuple[Callable[[Pod], Found], ...] = (
    host_namespaces,
    privileged,
    windows_host_process,
    host_ports,
    host_probes_and_host_lifecycle,
    app_armor_profile,
    se_linux_options,
    proc_mount,
    sysctls,
    restricted_volumes,
    allow_privilege_escalation,
    run_as_non_root,
    run_as_user,
    seccomp_profile,
    capabilities,
)
