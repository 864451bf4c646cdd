"""What keeps the grader's session and a student's application apart from the rest of a cluster, as plain objects.

`sessions` creates these: the rights of the account that applies what a student shipped, the quota, the limits and the
network policy of the namespace, and the keeper's own pod.
"""

from __future__ import annotations

from typing import Any

from course.checks.core.sessions import KEEPER, SESSION_LABEL

KEEPER_HOURS = 6  # a keeper ends by itself after so long
RULES = [
    {"apiGroups": [group], "resources": list(kinds), "verbs": ["get", "create", "patch", "update", "delete"]}
    for group, kinds in (
        ("", ("services", "configmaps", "secrets", "serviceaccounts")),
        ("apps", ("deployments", "deployments/scale")),
        ("autoscaling", ("horizontalpodautoscalers",)),
        ("policy", ("poddisruptionbudgets",)),
    )
]
QUOTA = {
    "metadata": {"name": "course"},
    "spec": {
        "hard": {
            "pods": "16",
            "requests.cpu": "4",
            "requests.memory": "4Gi",
            "limits.memory": "6Gi",
            "limits.ephemeral-storage": "4Gi",
            "services": "6",
            "services.loadbalancers": "0",
            "services.nodeports": "0",
            "persistentvolumeclaims": "0",
            "configmaps": "20",
            "secrets": "20",
            "count/deployments.apps": "6",
            "count/replicasets.apps": "40",
            "count/jobs.batch": "0",
            "count/cronjobs.batch": "0",
        }
    },
}
# of a namespace for dry runs: a quota on an amount refuses every pod that does not state it
DEMANDS: dict[str, Any] = {
    "metadata": {"name": "demands"},
    "spec": {"hard": {"requests.cpu": "8", "requests.memory": "16Gi", "limits.memory": "16Gi"}},
}
LIMITS = {
    "metadata": {"name": "course"},
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "256Mi"},
                "defaultRequest": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
                "max": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "512Mi"},
            }
        ]
    },
}


def network_policy(session: str) -> dict[str, Any]:
    """Pods get requests from each other and from the keeper; they send them to each other and to name servers.

    Args:
        session: the id of the session.
    """
    keeper = {"namespaceSelector": {"matchLabels": {SESSION_LABEL: session}}}
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "metadata": {"name": "course"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {}}, keeper]}],
            "egress": [{"to": [{"podSelector": {}}]}, {"ports": names}],
        },
    }


def keeper_pod(image: str) -> dict[str, Any]:
    """The keeper's pod, with the programs of the ConfigMap "programs".

    Args:
        image: the image in which the course's own programs run.
    """
    return {
        "metadata": {"name": KEEPER},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": KEEPER_HOURS * 3600,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534},
            "containers": [
                {
                    "name": KEEPER,
                    "image": image,
                    "command": ["python3", "-B", "/course/among.py"],
                    "stdin": True,
                    "stdinOnce": True,  # a closed connection closes the input
                    "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi"},
                        "limits": {"cpu": "1", "memory": "256Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "programs", "mountPath": "/course", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "programs", "configMap": {"name": "programs"}}],
        },
    }
