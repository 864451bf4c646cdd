"""Manifests are judged as written: right ones pass however written, wrong ones hear why, hostile ones are refused."""

from __future__ import annotations

import copy
import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.core.findings import Finding
from course.checks.kubernetes import policies
from course.checks.kubernetes.hardening import harden
from course.checks.kubernetes.manifests import Manifests, manifests
from course.checks.kubernetes.resource_files import Resource, find, quantity, read, read_around_faults
from course.checks.kubernetes.schemas import mended, releases, valid

DEPLOYMENT = """
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: late-flights
      labels: {app: late-flights}
    spec:
      replicas: 2
      strategy:
        rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
      selector:
        matchLabels: {app: late-flights}
      template:
        metadata:
          labels: {app: late-flights}
        spec:
          automountServiceAccountToken: false
          terminationGracePeriodSeconds: 30
          securityContext:
            runAsNonRoot: true
            runAsUser: 10001
            seccompProfile: {type: RuntimeDefault}
          containers:
            - name: api
              image: localhost:5001/late-flights:v1
              ports:
                - {name: http, containerPort: 8000}
              envFrom:
                - configMapRef: {name: settings}
              env:
                - name: API_TOKEN
                  valueFrom: {secretKeyRef: {name: credentials, key: token}}
              resources:
                requests: {cpu: 100m, memory: 128Mi}
                limits: {cpu: 500m, memory: 256Mi}
              readinessProbe:
                httpGet: {path: /ready, port: http}
                periodSeconds: 2
              livenessProbe:
                httpGet: {path: /health, port: http}
              startupProbe:
                httpGet: {path: /health, port: http}
                failureThreshold: 30
              lifecycle:
                preStop: {exec: {command: ["sleep", "5"]}}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {drop: ["ALL"]}
              volumeMounts:
                - {name: scratch, mountPath: /tmp}
          volumes:
            - {name: scratch, emptyDir: {sizeLimit: 16Mi}}
"""
REST = """
    apiVersion: v1
    kind: Service
    metadata: {name: late-flights}
    spec:
      selector: {app: late-flights}
      ports:
        - {name: http, port: 80, targetPort: http}
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: settings}
    data: {LOG_LEVEL: info, SECRET_FILE: /run/secrets/token}
    ---
    apiVersion: v1
    kind: Secret
    metadata: {name: credentials}
    stringData: {token: not-a-real-one}
"""
SCALER = """
    apiVersion: autoscaling/v1
    kind: HorizontalPodAutoscaler
    metadata: {name: late-flights}
    spec:
      scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: late-flights}
      minReplicas: 2
      maxReplicas: 5
      targetCPUUtilizationPercentage: 60
"""


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped files."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))
    (tmp_path / "shipped").mkdir()
    return tmp_path / "shipped"


@pytest.fixture
def ship(shipped: Path):
    """Ship the good manifests, with texts in them replaced by others, or with more files."""

    def ship(*changes: tuple[str, str], **more: str) -> Manifests:
        files = {"deployment.yaml": textwrap.dedent(DEPLOYMENT), "rest.yaml": textwrap.dedent(REST)}
        for old, new in changes:
            assert any(old in text for text in files.values()), f"nothing holds {old!r}"
            files = {name: text.replace(old, new) for name, text in files.items()}
        files |= {f"{name}.yaml": textwrap.dedent(text) for name, text in more.items()}
        for name, text in files.items():
            (shipped / "k8s").mkdir(exist_ok=True)
            (shipped / "k8s" / name).write_text(text.lstrip("\n"))
        return manifests("k8s")

    return ship


def said(app: Manifests, rule: str) -> str:
    """What a rule says first, with its hint; empty when it finds nothing."""
    try:
        app.expect(rule)
    except CheckFailed as failure:
        return f"{failure.reason} | {failure.hint}"
    return ""


# the good ones


def test_good_manifests_have_no_findings(ship):
    app = ship(scaler=SCALER)
    app.one("Deployment").data["spec"].pop("replicas")
    assert [str(one) for one in app.findings()] == []
    app.expect_kinds("Deployment", "Service", "ConfigMap", "Secret")
    app.expect_replicas(2)


DIFFERENT = {
    "numbers for names of ports": [("targetPort: http", "targetPort: 8000"), ("port: http}", "port: 8000}")],
    "no list of ports": [
        ("targetPort: http", "targetPort: 8000"),
        ("port: http}", "port: 8000}"),
        ("          ports:\n            - {name: http, containerPort: 8000}\n", ""),
    ],
    "a digest": [("late-flights:v1", "late-flights@sha256:" + "0" * 64)],
    "a digest and a tag": [("late-flights:v1", "late-flights:latest@sha256:" + "0" * 64)],
    "no startup probe": [("startupProbe", "x-startup")],
    "shares of pods": [("{maxSurge: 1, maxUnavailable: 0}", "{maxSurge: 100%, maxUnavailable: 25%}")],
    "the default strategy": [("    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}", "    type: RollingUpdate")],
    "one pod less": [("replicas: 2", "replicas: 3"), ("maxUnavailable: 0", "maxUnavailable: 1")],
    "no limit of processor time": [("limits: {cpu: 500m, memory: 256Mi}", "limits: {memory: 0.25Gi}")],
    "limits alone": [("          requests: {cpu: 100m, memory: 128Mi}\n", "")],
    "a hook in Python": [('["sleep", "5"]', '["python", "-c", "import time; time.sleep(5)"]')],
    "a hook in a shell": [('["sleep", "5"]', '["sh", "-c", "sleep 5"]')],
    "a probe that runs": [
        (
            "livenessProbe:\n            httpGet: {path: /health, port: http}",
            'livenessProbe:\n            exec: {command: ["python", "-c", "ask(\'http://127.0.0.1:8000/health\')"]}',
        )
    ],
    "user and profile at the container": [
        ("        runAsNonRoot: true\n        runAsUser: 10001\n", "        fsGroup: 1\n"),
        ("        seccompProfile: {type: RuntimeDefault}\n", ""),
        (
            "allowPrivilegeEscalation: false",
            "runAsNonRoot: true\n            seccompProfile: {type: RuntimeDefault}\n"
            "            allowPrivilegeEscalation: false",
        ),
    ],
    "a probe by wget in a shell": [
        (
            "livenessProbe:\n            httpGet: {path: /health, port: http}",
            'livenessProbe:\n            exec: {command: [sh, -c, "wget -qO- http://localhost:8000/health || exit 1"]}',
        )
    ],
    "a path without its slash": [("{path: /health, port: http}", "{path: health, port: http}")],
    "amounts as numbers": [("{cpu: 100m, memory: 128Mi}", "{cpu: 0.1, memory: 134217728}")],
    "a hook of many sleeps": [('["sleep", "5"]', '["sh", "-c", "sleep 1; sleep 1; sleep 1"]')],
    "a hook that loops": [('["sleep", "5"]', '["sh", "-c", "for i in 1 2 3; do sleep 1s; done"]')],
    "a hook of Kubernetes' own": [('exec: {command: ["sleep", "5"]}', "sleep: {seconds: 5}")],
    "a selector of expressions": [
        ("matchLabels: {app: late-flights}", "matchExpressions: [{key: app, operator: In, values: [late-flights, x]}]")
    ],
    "a namespace for all": [("metadata: {name: settings}", "metadata: {name: settings, namespace: flights}")],
    "a budget by expressions and a share": [
        (
            "data: {LOG_LEVEL",
            "data: {}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: some}\nspec:\n"
            "  minAvailable: 50%\n  selector: {matchExpressions: [{key: app, operator: Exists}]}\n"
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: some}\n"
            "spec: {podSelector: {}, policyTypes: [Ingress]}\n"
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: flights}\n"
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {LOG_LEVEL",
        )
    ],
    "more labels on pods": [
        ("      labels: {app: late-flights}\n    spec", "      labels: {app: late-flights, tier: web}\n    spec"),
    ],
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_right_ones_written_differently_pass(ship, changes):
    rules = [
        rule for rule in policies.RULES if rule != "autoscaler" and ("x-startup", rule) != (changes[0][1], "valid")
    ]
    found = ship(*changes).findings(*rules)
    assert [str(one) for one in found] == []


# each rule and its mistakes

WRONG = [
    ("valid", ("replicas: 2", "replica: 2"), "spec has no field `replica`", "is it `replicas`?"),
    ("valid", ("replicas: 2", 'replicas: "2"'), "spec.replicas is text, and must be a whole number", ""),
    ("valid", ("apps/v1", "extensions/v1beta1"), "no release since 1.25 serves Deployment", "apiVersion: apps/v1"),
    ("valid", ("apps/v1", "v1"), "no release since 1.25 serves Deployment as v1", "apiVersion: apps/v1"),
    ("valid", ("kind: Deployment", "kind: Deploymnt"), "no kind Deploymnt", "is it Deployment?"),
    ("valid", ("LOG_LEVEL: info", "LOG_LEVEL: 3"), "data.LOG_LEVEL is a whole number, and must be text", "quotes"),
    ("valid", ("  selector:\n    matchLabels: {app: late-flights}\n", ""), "spec lacks `selector`", ""),
    ("valid", ("name: settings}", "name: Settings}"), "'Settings' is not a valid name", ""),
    ("valid", ("containerPort: 8000", "containerPort: 80000"), "ports are 1 to 65535", ""),
    ("valid", ("cpu: 100m", "cpu: a tenth"), "'a tenth' is not a valid amount", "250m"),
    ("valid", ("maxSurge: 1", "maxSurge: 0"), "no update can go on", "maxSurge"),
    (
        "selectors",
        ("matchLabels: {app: late-flights}", "matchExpressions: [{key: app, operator: NotIn, values: [late-flights]}]"),
        "selects app NotIn ['late-flights'], and its own pods have app: late-flights",
        "refuses",
    ),
    (
        "probes",
        ("path: /health, port: http}\n            failure", "path: /healthz, port: http}\n            failure"),
        "/healthz",
        "",
    ),
    (
        "probes",
        ("httpGet: {path: /ready, port: http}", 'exec: {command: [sh, -c, "curl -f localhost:8000/readyz"]}'),
        "does not ask /ready",
        "httpGet",
    ),
    ("graceful stop", ('["sleep", "5"]', '["sh", "-c", "sleep 0.2; sleep 0.3"]'), "waits 0.5 seconds", ""),
    ("graceful stop", ('["sleep", "5"]', '["/bin/wait-a-while"]'), "by a sleep that can be read", "seconds: 5"),
    (
        "drains",
        (
            "data: {LOG_LEVEL",
            "data: {}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: all}\nspec:\n"
            "  minAvailable: 51%\n  selector: {}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"
            "data: {LOG_LEVEL",
        ),
        "minAvailable: 51% lets none of the 2 pods of Deployment late-flights go",
        "node",
    ),
    (
        "selectors",
        ("matchLabels: {app: late-flights}", "matchLabels: {app: flights}"),
        "selects app: flights",
        "letter",
    ),
    (
        "selectors",
        ("selector: {app: late-flights}", "selector: {app: late_flights}"),
        "of Deployment late-flights",
        "letter",
    ),
    ("selectors", ("selector: {app: late-flights}", "selector: {tier: web}"), "tier: web, a label that pods", "letter"),
    ("selectors", ("  selector: {app: late-flights}\n", ""), "Service late-flights selects no pods", "labels of pods"),
    (
        "ports",
        ("targetPort: http", "targetPort: web"),
        "leads to the port web, which no container of Deployment late-flights names",
        "targetPort",
    ),
    ("ports", ("targetPort: http", "targetPort: 5000"), "leads to the port 5000", "8000 (http)"),
    ("ports", (", targetPort: http", ""), "leads to the port 80,", ""),
    ("ports", ("path: /ready, port: http", "path: /ready, port: https"), "the readinessProbe asks the port https", ""),
    ("probes", ("path: /ready", "path: /health"), "asks /health, which answers another question", "can answer now"),
    (
        "probes",
        ("path: /health", "path: /healthz"),
        "asks /healthz, which the service does not have",
        "/health, /ready",
    ),
    ("probes", ("livenessProbe", "x"), "api has no livenessProbe", "started again"),
    (
        "probes",
        ("httpGet: {path: /ready, port: http}", "tcpSocket: {port: http}"),
        "an open port does not prove that it answers",
        "httpGet",
    ),
    ("resources", ("            limits: {cpu: 500m, memory: 256Mi}\n", ""), "api has no limits.memory", "leak"),
    ("resources", ("cpu: 500m, memory: 256Mi", "memory: 64Mi"), "asks for more memory than its limit", "at most"),
    ("resources", ("memory: 256Mi", "memory: 256m"), "less than one mebibyte", "quarter of a byte"),
    ("pinned image", ("late-flights:v1", "late-flights:latest"), "api runs latest", "@sha256"),
    ("pinned image", ("late-flights:v1", "late-flights"), "without a tag, which means latest", "@sha256"),
    (
        "non-root",
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        "nothing keeps api from running as root",
        "runAsNonRoot",
    ),
    ("non-root", ("runAsUser: 10001", "runAsUser: 0"), "user 0, which is root", ""),
    ("restricted", ("allowPrivilegeEscalation: false", "privileged: false"), "gain rights", "allowPrivilegeEscalation"),
    ("restricted", ('drop: ["ALL"]', 'drop: ["NET_RAW"]'), "keeps capabilities", "drop"),
    ("restricted", ("seccompProfile: {type: RuntimeDefault}", "fsGroup: 1"), "every system call", "seccompProfile"),
    ("read-only", ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"), "may write", "emptyDir"),
    ("no secrets", ("LOG_LEVEL: info", "DB_PASSWORD: hunter2"), "the value of DB_PASSWORD", "Secret"),
    ("no secrets", ("LOG_LEVEL: info", "app.ini: 'api_key = abcdef'"), "the value of api_key", "Secret"),
    ("no secrets", ("LOG_LEVEL: info", "DB: 'postgres://me:hunter2@db/flights'"), "a name with a password", "Secret"),
    (
        "no secrets",
        ("valueFrom: {secretKeyRef: {name: credentials, key: token}}", "value: abc123"),
        "API_TOKEN",
        "Secret",
    ),
    ("no secrets", ("valueFrom: {secretKeyRef", "valueFrom: {configMapKeyRef"), "from a ConfigMap", "Secret"),
    (
        "references",
        ("configMapRef: {name: settings}", "configMapRef: {name: setting}"),
        "setting is not there",
        "settings",
    ),
    ("references", ("key: token}", "key: tokens}"), "has no key tokens", "token"),
    ("references", ("- {name: scratch, mountPath", "- {name: tmp, mountPath"), "mounts the volume tmp", "share a name"),
    ("rollout", ("maxUnavailable: 0", "maxUnavailable: 100%"), "of 2 pods 2 may be gone at once", "maxUnavailable"),
    ("rollout", ("maxUnavailable: 0", "maxUnavailable: 2"), "nobody answers then", "maxUnavailable"),
    (
        "rollout",
        ("rollingUpdate: {maxSurge: 1, maxUnavailable: 0}", "type: Recreate"),
        "ends all its pods",
        "RollingUpdate",
    ),
    ("rollout", ("readinessProbe", "x"), "no readinessProbe", "it gets no requests"),
    ("graceful stop", ("preStop", "postStart"), "api has no preStop hook", "waits"),
    ("graceful stop", ('["sleep", "5"]', '["true"]'), "does not wait", "sleep"),
    ("graceful stop", ('"5"', '"40"'), "grace period of 30 s is over before", "from the beginning"),
    ("autoscaler", ("replicas: 2", "replicas: 2"), "there is no HorizontalPodAutoscaler", ""),
]


@pytest.mark.parametrize(("rule", "change", "reason", "hint"), WRONG)
def test_wrong_ones_hear_why(ship, rule, change, reason, hint):
    found = said(ship(change), rule)
    assert reason in found
    assert hint in found


def test_a_finding_names_file_line_and_text(ship):
    finding = ship(("late-flights:v1", "late-flights:latest")).findings("pinned image")[0]
    assert (finding.file, finding.line, finding.rule) == ("deployment.yaml", 24, "pinned image")
    assert str(finding).startswith("deployment.yaml line 24 (image: localhost:5001/late-flights:latest): api runs")


def test_a_secret_is_not_repeated_in_the_message(ship):
    assert "hunter2" not in said(ship(("LOG_LEVEL: info", "DB_PASSWORD: hunter2")), "no secrets")


def test_two_of_a_name_and_fields_written_twice_are_not_valid(ship):
    assert "there are two of Service late-flights" in said(ship(again=REST), "valid")
    with pytest.raises(CheckFailed, match="'replicas' appears twice"):
        ship(("replicas: 2", "replicas: 2\n  replicas: 3")).expect("valid")


def test_what_a_later_release_dropped_is_said(ship):
    scaler = SCALER.replace("autoscaling/v1", "autoscaling/v2beta2")
    assert "not served as autoscaling/v2beta2 since Kubernetes 1.26" in said(ship(scaler=scaler), "valid")
    assert releases()[0] == "1.25"
    assert len(releases()) >= 10


def test_an_autoscaler_is_judged(ship):
    assert "sets 2 replicas, and so does" in said(ship(scaler=SCALER), "autoscaler")
    without = ("  replicas: 2\n", "")
    assert said(ship(without, scaler=SCALER), "autoscaler") == ""
    ship(without, scaler=SCALER).expect_replicas(2)
    assert "nothing to decide" in said(
        ship(without, scaler=SCALER.replace("maxReplicas: 5", "maxReplicas: 2")), "autoscaler"
    )
    app = ship(without, scaler=SCALER.replace("name: late-flights}\n      min", "name: flights}\n      min"))
    assert "Deployment flights, which is not there" in said(app, "selectors")


def test_kinds_and_replicas_are_asked_for(ship):
    app = ship(("replicas: 2", "replicas: 1"))
    with pytest.raises(CheckFailed, match="holds no Ingress"):
        app.expect_kinds("Deployment", "Ingress")
    with pytest.raises(
        CheckFailed, match=r"deployment\.yaml line 7 \(replicas: 1\): Deployment late-flights keeps 1 pod"
    ):
        app.expect_replicas(2)


def test_rules_about_pods_do_not_hold_of_nothing(shipped):
    (shipped / "one.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    app = manifests("one.yaml")
    assert "holds no Deployment" in said(app, "probes")
    assert "holds no Deployment" in said(app, "graceful stop")
    with pytest.raises(ValueError, match="a rule is one of"):
        app.expect("probe")


def test_other_endpoints_can_be_named(ship):
    ship(("path: /ready", "path: /up"))
    manifests("k8s", endpoints={"readiness": ("/up",)}).expect("probes")


# hostile ones

DEEP = "a: " + "[" * 200 + "]" * 200
BOMB = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1}]\n" for n in range(1, 12))
HOSTILE = [
    ("      automountServiceAccountToken: false", "      hostNetwork: true", "the network of the node"),
    ("      automountServiceAccountToken: false", "      hostPID: true", "the processes of the node"),
    ("      automountServiceAccountToken: false", "      hostIPC: true", "the memory that processes"),
    ("      automountServiceAccountToken: false", "      nodeName: node-1", "past the scheduler"),
    ("      automountServiceAccountToken: false", "      tolerations: [{operator: Exists}]", "kept for others"),
    (
        "      automountServiceAccountToken: false",
        "      priorityClassName: system-node-critical",
        "pushes others away",
    ),
    ("allowPrivilegeEscalation: false", "privileged: true", "has the whole node"),
    ('drop: ["ALL"]', 'add: ["SYS_ADMIN"]', "SYS_ADMIN may do what only root may"),
    ("allowPrivilegeEscalation: false", "procMount: Unmasked", "procMount shows"),
    ("runAsUser: 10001", "sysctls: [{name: kernel.msgmax, value: '1'}]", "settings of the node"),
    ("seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}", "RuntimeDefault is what is taken"),
    ("emptyDir: {sizeLimit: 16Mi}", "hostPath: {path: /}", "of the kind hostPath"),
    ("emptyDir: {sizeLimit: 16Mi}", "persistentVolumeClaim: {claimName: a}", "of the kind persistentVolumeClaim"),
    ("emptyDir: {sizeLimit: 16Mi}", "nfs: {server: a, path: /}", "of the kind nfs"),
    ("emptyDir: {sizeLimit: 16Mi}", "projected: {sources: [{serviceAccountToken: {path: t}}]}", "serviceAccountToken"),
    ("containerPort: 8000", "containerPort: 8000, hostPort: 80", "a port of the node"),
    ("path: /ready, port: http", "path: /ready, port: http, host: 169.254.169.254", "asks another host"),
    ('exec: {command: ["sleep", "5"]}', "httpGet: {path: /, port: 80, host: example.com}", "asks another host"),
    ("replicas: 2", "replicas: 1000", "1000 pods are too many"),
    ("replicas: 2", "replicas: 0", "nobody answers"),
    ("replicas: 2", "paused: true", "never rolls out"),
    ("memory: 256Mi", "memory: 64Gi", "more than 1 GiB of memory"),
    ("cpu: 500m", "cpu: 64", "more than 2 processors"),
    ("memory: 256Mi", "memory: 256Mi, example.com/gpu: 1", "is not available here"),
    ("terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 86400", "a grace period of 86400 seconds"),
    ("name: settings}", "name: settings, namespace: kube-system}", "belongs to the cluster"),
    (
        "metadata: {name: settings}",
        "metadata: {name: settings, namespace: other}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: another}",
        "several namespaces",
    ),
    ("name: settings}", "name: settings, finalizers: [example.com/never]}", "keeps an object permanently"),
    ("name: settings}", "name: settings, ownerReferences: []}", "owners are set by Kubernetes"),
    (
        "  selector: {app: late-flights}",
        "  type: LoadBalancer\n  selector: {app: late-flights}",
        "type LoadBalancer is not",
    ),
    (
        "  selector: {app: late-flights}",
        "  type: NodePort\n  selector: {app: late-flights}",
        "type NodePort is not taken",
    ),
    ("  selector: {app: late-flights}", "  type: ExternalName\n  externalName: a.b", "type ExternalName is not"),
    ("  selector: {app: late-flights}", "  externalIPs: [8.8.8.8]", "takes an address by hand"),
    ("stringData:", "type: kubernetes.io/service-account-token\nstringData:", "is not taken"),
]


@pytest.mark.parametrize(("old", "new", "reason"), HOSTILE)
def test_hostile_ones_are_refused_with_the_reason(ship, old, new, reason):
    assert reason in said(ship((old, new)), "allowed")


@pytest.mark.parametrize(
    ("version", "kind", "reason"),
    [
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "needs no rights"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "needs no rights"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "needs no rights"),
        ("batch/v1", "Job", "runs as a Deployment"),
        ("batch/v1", "CronJob", "these are taken"),
        ("apps/v1", "DaemonSet", "these are taken"),
        ("v1", "Pod", "keeps pods alive"),
        ("v1", "List", "these are taken"),
        ("v1", "PersistentVolume", "these are taken"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "these are taken"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "these are taken"),
        ("networking.k8s.io/v1", "Ingress", "within the cluster"),
    ],
)
def test_kinds_that_are_not_known_are_refused(ship, version, kind, reason):
    found = said(ship(more=f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"), "allowed")
    assert f"{kind} is not taken for grading" in found
    assert reason in found


def test_an_autoscaler_to_a_thousand_and_an_account_with_rights_are_refused(ship):
    app = ship(scaler=SCALER.replace("maxReplicas: 5", "maxReplicas: 1000"))
    assert "up to 1000 pods are too many" in said(app, "allowed")
    account = (
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, annotations: {eks.amazonaws.com/role-arn: b}}\n"
    )
    assert "rights at a cloud provider" in said(ship(scaler=account), "allowed")


def test_many_small_deployments_are_counted_together(ship):
    copies = [
        DEPLOYMENT.replace("late-flights", f"other-{number}").replace("replicas: 2", "replicas: 5")
        for number in range(2)
    ]
    assert "there would be 12 pods together" in said(ship(a=copies[0], b=copies[1]), "allowed")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "too large or too deep, once *a6 is replaced by what it stands for"),
        (DEEP, "too large or too deep"),
        ("a: " + "[" + "1," * 30_000 + "]", "too large or too deep"),
        ("a: !!python/object/apply:os.system [id]", "tags (!name) are not allowed"),
        ("kind: a\nkind: b", "'kind' appears twice"),
        ("- a\n- b", "this is not an object of Kubernetes"),
        ("just text", "this is not an object of Kubernetes"),
        ("a: b: c", "line 1"),
    ],
)
def test_yaml_is_read_with_care(shipped, text, reason):
    (shipped / "one.yaml").write_text(text)
    with pytest.raises(CheckFailed) as caught:
        manifests("one.yaml").expect("valid")
    assert reason in caught.value.reason


def test_many_documents_and_many_files_are_refused(shipped):
    (shipped / "one.yaml").write_text("kind: a\n---\n" * 1000)
    with pytest.raises(CheckFailed, match="more than 200 objects"):
        manifests("one.yaml").resources
    (shipped / "one.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n" * 60)
    assert "there are 60 objects" in said(manifests("one.yaml"), "allowed")
    (shipped / "many").mkdir()
    for number in range(100):
        (shipped / "many" / f"{number}.yaml").touch()
    with pytest.raises(CheckFailed, match="more than 60 files"):
        manifests("many").resources


def test_links_and_large_files_are_refused(shipped, tmp_path):
    (tmp_path / "other.yaml").write_text("kind: a")
    (shipped / "k8s").mkdir()
    (shipped / "k8s" / "a.yaml").symlink_to(tmp_path / "other.yaml")
    with pytest.raises(CheckFailed, match="is a link"):
        manifests("k8s").resources
    os.unlink(shipped / "k8s" / "a.yaml")
    (shipped / "k8s" / "a.yaml").write_text("#" * (1 << 19))
    with pytest.raises(Unmet, match="too large"):
        manifests("k8s").resources


def test_nothing_shipped_is_said_kindly(shipped):
    with pytest.raises(Unmet, match="there is no folder k8s among the shipped files"):
        manifests("k8s").expect("valid")
    (shipped / "k8s").mkdir()
    with pytest.raises(Unmet, match="k8s holds no manifests"):
        manifests("k8s").expect("valid")
    (shipped / "k8s" / "a.yaml").write_text("# nothing yet\n---\n")
    with pytest.raises(CheckFailed, match="holds no objects"):
        manifests("k8s").expect("valid")


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


def odds(usual: list[Any], more: list[Any]) -> list:
    """Odd values as parameters; of many alike some always run."""
    marked = [(odd, ()) for odd in usual] + [(odd, pytest.mark.exhaustive) for odd in more]
    return [pytest.param(odd, id=json.dumps(odd), marks=marks) for odd, marks in marked]


ODD = odds([None, 7, "odd", ["odd"], {}], [-1, 2.5, True, [], [None], [[{}]], {"odd": {"odd": []}}, {"name": {}}])


@pytest.mark.parametrize("odd", ODD)
def test_no_rule_breaks_whatever_stands_anywhere(shipped, odd):
    good = list(yaml.safe_load_all(textwrap.dedent(f"{DEPLOYMENT}    ---{REST}    ---{SCALER}")))
    rules = [rule for rule in policies.RULES if rule != "valid"]
    for number, document in enumerate(good):
        for path in _places(document)[1:]:
            changed = copy.deepcopy(good)
            place = changed[number]
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = copy.deepcopy(odd)
            (shipped / "one.json").write_text("\n---\n".join(map(json.dumps, changed)))
            app = manifests("one.json")
            for finding in app.findings(*rules):
                assert len(str(finding)) < 2000
            if path[-1] in ("spec", "metadata", "kind", "apiVersion", "ports", "resources", "name", "httpGet"):
                app.findings("valid")
            app.one(app.resources[0].kind).containers
            assert isinstance(app.findings("rollout"), list)


# small parts


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", 0.25),
        ("1", 1),
        (2, 2),
        ("1.5", 1.5),
        ("128Mi", 2**27),
        ("1G", 1e9),
        ("2e3", 2000),
        ("0.5Gi", 2**29),
        ("many", None),
        ("", None),
        (None, None),
        (True, None),
        ([1], None),
        ("1e999", None),
    ],
)
def test_amounts_are_read_as_kubernetes_writes_them(text, number):
    assert quantity(text) == number


def test_a_list_is_its_items_each_with_its_lines(shipped):
    (shipped / "all.yaml").write_text(
        "apiVersion: v1\nkind: List\nitems:\n"
        "  - {apiVersion: v1, kind: Service, metadata: {name: a}}\n"
        "  - apiVersion: v1\n    kind: ConfigMap\n    metadata:\n      name: B\n"
    )
    app = manifests("all.yaml")
    assert [(one.kind, one.name, one.line) for one in app.resources] == [("Service", "a", 4), ("ConfigMap", "B", 5)]
    assert app.resources[1].at("metadata.name") == 8


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        (["sh", "-c", "; ".join(["sleep 1"] * 8)], 8),
        (["sh", "-c", "for i in $(seq 8); do sleep 1; done"], 8),
        (["bash", "-c", "for i in {1..4}; do sleep 2; done; sleep 1"], 9),
        (["/bin/sleep", "0.1m"], 6),
        (["python", "-c", "from time import sleep; sleep(5)"], 5),
        (["true"], None),
        ("sleep 5", None),
    ],
)
def test_all_sleeps_of_a_hook_are_added(command, seconds):
    assert policies.waits({"exec": {"command": command}}) == seconds


def test_json_is_read_too_and_dates_stay_text():
    one = next(read('{"kind": "A", "metadata": {"annotations": {"day": "x"}}}', "a.json"))
    assert (one.kind, one.at("metadata.annotations")) == ("A", 1)
    assert next(read("kind: A\nday: 2026-01-01", "a.yaml")).data["day"] == "2026-01-01"


@pytest.mark.parametrize(
    ("broken", "meant"),
    [
        ("replicas:2", {"replicas": 2}),
        ("\treplicas: 2", None),
        ('paused: "yes', {"paused": "yes"}),
        ("paused: a: b", {"paused": "a: b"}),
        ("paused: @a", {"paused": "@a"}),
        ("minReadySeconds: 3\n  minReadySeconds: 4", {"minReadySeconds": 3}),
        ("selector: 1\n   replicas: 2", {"selector": 1}),
    ],
)
def test_what_stands_around_a_line_that_is_not_yaml_is_read_and_the_line_is_reported(shipped, broken, meant):
    text = f"kind: A\nspec:\n  {broken}\n  a: b\n---\nkind: B\n"
    (shipped / "one.yaml").write_text(text)
    app = manifests("one.yaml")
    assert [one.kind for one in app.resources] == ["A", "B"]
    assert app.resources[1].line == text.splitlines().index("kind: B") + 1
    assert app.resources[0].get("spec.a") == "b"
    for key, value in (meant or {}).items():
        assert app.resources[0].get(f"spec.{key}") == value
    with pytest.raises(CheckFailed, match=r"one\.yaml line \d \("):
        app.expect("valid")


def test_a_document_with_many_faults_is_left_out_and_the_others_are_read(shipped):
    (shipped / "k8s").mkdir()
    (shipped / "k8s/a.yaml").write_text(
        "kind: B\n---\nDear grader,\nthis: is: a: letter\n\tand: @no\nmanifest: {{\n- x\n"
    )
    (shipped / "k8s/b.yaml").write_text("- a list\n---\nkind: C\n")
    app = manifests("k8s")
    assert [one.kind for one in app.resources] == ["B", "C"]
    assert [one.file for one in app.unreadable] == ["a.yaml", ""]
    assert "b.yaml line 1: this is not an object of Kubernetes" in str(app.unreadable[1])


def test_where_nothing_can_be_read_the_question_shows_that_once(shipped):
    (shipped / "one.yaml").write_text("- a list\n")
    with pytest.raises(Unmet, match="this is not an object of Kubernetes") as caught:
        manifests("one.yaml").expect("valid")
    assert caught.value.title == "the manifests can be read"


def test_a_text_of_very_many_documents_is_not_read_around_its_faults():
    assert any(isinstance(part, Finding) for part in read_around_faults("a: @b\n---\nkind: A\n" * 5, "a.yaml"))
    with pytest.raises(Unmet):
        list(read_around_faults("a: @b\n---\nkind: A\n" * 100, "a.yaml"))


def test_a_folder_gives_its_manifests_in_order_without_kustomizations(shipped):
    for name in ("b.yml", "a.yaml", "sub/c.json", "kustomization.yaml", "notes.md"):
        (shipped / "k8s" / name).parent.mkdir(parents=True, exist_ok=True)
        (shipped / "k8s" / name).write_text("kind: A")
    assert list(find("k8s").values()) == ["a.yaml", "b.yml", "sub/c.json"]


@pytest.mark.parametrize("odd", odds([None], [[None], {}]))
def test_what_is_allowed_and_valid_can_be_held(shipped, odd):
    good = list(yaml.safe_load_all(textwrap.dedent(f"{DEPLOYMENT}    ---{REST}    ---{SCALER}")))
    count = 0
    for number, document in enumerate(good):
        for path in _places(document)[1:]:
            changed = copy.deepcopy(good)
            place = changed[number]
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = copy.deepcopy(odd)
            (shipped / "one.json").write_text("\n---\n".join(map(json.dumps, changed)))
            app = manifests("one.json")
            if not app.findings("allowed") and not valid([app.resources[number]]):
                for one in harden(app, lambda name: f"held/{name}"):
                    assert "namespace" not in one["metadata"]
                count += 1
    assert count >= 3


def test_a_mended_copy_has_no_unknown_fields_and_simple_values_of_the_right_type(ship):
    app = ship(("replicas: 2", 'replica: 2\n  revisionHistoryLimit: "3"'), ("LOG_LEVEL: info", "LOG_LEVEL: 3"))
    data = [mended(one) for one in app.resources]
    assert "replica" not in data[0]["spec"]
    assert data[0]["spec"]["revisionHistoryLimit"] == 3
    assert data[2]["data"]["LOG_LEVEL"] == "3"
    assert not Manifests("mended", lambda: [Resource(one, "text") for one in data]).findings("valid")
    assert "replica" in app.one("Deployment").data["spec"], "the shipped ones stay as they are"
