"""The fields of ray.io/v1 in KubeRay 1.5.1, and of the Kubernetes objects around it.

A mapping is closed: another name is a mistake. What starts with `!` must be there.
"""

from collections.abc import Iterator
from typing import Any

KUBERAY = "1.5.1"
NAMED = {"!name": str}
QUANTITIES = {"requests": dict, "limits": dict}
SECURITY = {
    "runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "fsGroup": int,
    "seccompProfile": {"!type": str}, "allowPrivilegeEscalation": bool,
    "readOnlyRootFilesystem": bool, "capabilities": {"drop": list, "add": list},
}  # fmt: skip
CONTAINER = {
    "!name": str, "!image": str, "securityContext": SECURITY, "resources": QUANTITIES,
    "env": [{"!name": str, "value": str, "valueFrom": dict}], "ports": list, "command": list,
    "volumeMounts": [{"!name": str, "!mountPath": str, "readOnly": bool, "subPath": str}],
}  # fmt: skip
VOLUME = {
    "!name": str, "emptyDir": {"medium": str, "sizeLimit": str}, "configMap": NAMED,
    "secret": {"!secretName": str}, "persistentVolumeClaim": {"!claimName": str, "readOnly": bool},
}  # fmt: skip
POD = {
    "metadata": {"labels": dict, "annotations": dict},
    "!spec": {
        "!containers": [CONTAINER], "volumes": [VOLUME], "securityContext": SECURITY,
        "automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int,
        "nodeSelector": dict, "tolerations": list, "serviceAccountName": str,
    },
}  # fmt: skip
HEAD = {
    "!rayStartParams": dict, "!template": POD, "serviceType": str, "enableIngress": bool,
    "headService": dict, "resources": dict, "labels": dict,
}  # fmt: skip
WORKERS = {
    "!groupName": str, "!rayStartParams": dict, "!template": POD, "replicas": int,
    "minReplicas": int, "maxReplicas": int, "numOfHosts": int, "idleTimeoutSeconds": int,
    "scaleStrategy": dict, "suspend": bool, "resources": dict, "labels": dict,
}  # fmt: skip
CLUSTER = {
    "!rayVersion": str, "!headGroupSpec": HEAD, "workerGroupSpecs": [WORKERS],
    "authOptions": {"mode": str}, "enableInTreeAutoscaling": bool, "autoscalerOptions": dict,
    "gcsFaultToleranceOptions": dict, "headServiceAnnotations": dict, "suspend": bool,
    "managedBy": str, "upgradeStrategy": dict,
}  # fmt: skip
JOB = {
    "!entrypoint": str, "rayClusterSpec": CLUSTER, "submissionMode": str, "backoffLimit": int,
    "activeDeadlineSeconds": int, "ttlSecondsAfterFinished": int, "shutdownAfterJobFinishes": bool,
    "runtimeEnvYAML": str, "jobId": str, "metadata": dict, "clusterSelector": dict,
    "submitterPodTemplate": POD, "submitterConfig": dict, "managedBy": str, "suspend": bool,
    "deletionStrategy": dict, "entrypointResources": str, "entrypointNumCpus": float,
    "entrypointNumGpus": float,
}  # fmt: skip
PEERS = [{"podSelector": {"matchLabels": dict}, "namespaceSelector": dict, "ipBlock": dict}]
PORTS = [{"protocol": str, "port": int, "endPort": int}]
POLICY = {
    "!podSelector": {"matchLabels": dict}, "policyTypes": list,
    "ingress": [{"from": PEERS, "ports": PORTS}], "egress": [{"to": PEERS, "ports": PORTS}],
}  # fmt: skip
CLAIM = {"!accessModes": list, "!resources": QUANTITIES, "storageClassName": str}
OBJECTS = {
    ("ray.io/v1", "RayJob"): JOB,
    ("networking.k8s.io/v1", "NetworkPolicy"): POLICY,
    ("v1", "PersistentVolumeClaim"): CLAIM,
}


def mistakes(value: Any, schema: Any, where: str) -> Iterator[str]:
    """Yield what of a value its schema does not allow."""
    if isinstance(schema, type):
        whole = schema is float and isinstance(value, int)
        if not (isinstance(value, schema) or whole) or (schema is int and isinstance(value, bool)):
            yield f"{where}: a {schema.__name__} is due; got {value!r}"
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield f"{where}: a list is due; got {value!r}"
            return
        for i, item in enumerate(value):
            yield from mistakes(item, schema[0], f"{where}[{i}]")
    else:
        if not isinstance(value, dict):
            yield f"{where}: a mapping is due; got {value!r}"
            return
        known = {name.removeprefix("!"): inner for name, inner in schema.items()}
        must = {name[1:] for name in schema if name.startswith("!")}
        yield from (f"{where}.{name}: is missing" for name in must - value.keys())
        for name, inner in value.items():
            if name in known:
                yield from mistakes(inner, known[name], f"{where}.{name}")
            else:
                yield f"{where}.{name}: no such field"
