#!/bin/sh
# A Kubernetes cluster in your container engine, with a registry that its nodes read from. Safe to run again.
#   sh env_setup/kind.sh up      makes what is missing: the registry, the cluster, the metrics of its nodes
#   sh env_setup/kind.sh down    removes all of it
set -eu

NAME=course
REGISTRY=course-registry
PORT=5001                      # as in COURSE_REGISTRY, by default localhost:5001
METRICS=https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.7.2/components.yaml

say() { printf 'cluster: %s\n' "$*"; }
need() {
  command -v "$1" >/dev/null 2>&1 || {
    say "there is no program $1; env_setup/cluster.md says how to get it"
    exit 1
  }
}

need docker
need kind
need kubectl
docker info >/dev/null 2>&1 || {
  say "no container engine answers; start it, then try again"
  exit 1
}

down() {
  kind delete cluster --name "$NAME"
  docker rm --force --volumes "$REGISTRY" >/dev/null 2>&1 || true
  say "the cluster and its registry are gone"
}

registry() {
  if [ "$(docker inspect --format '{{.State.Running}}' "$REGISTRY" 2>/dev/null || true)" = true ]; then
    return
  fi
  docker rm --force --volumes "$REGISTRY" >/dev/null 2>&1 || true
  say "starting a registry at localhost:$PORT"
  docker run --detach --restart unless-stopped --publish "127.0.0.1:$PORT:5000" --name "$REGISTRY" registry:2 >/dev/null
}

cluster() {
  if kind get clusters 2>/dev/null | grep -qx "$NAME"; then
    kind export kubeconfig --name "$NAME"
    return
  fi
  say "making a cluster: some minutes the first time"
  kind create cluster --name "$NAME" --wait 180s --config - <<CONFIG
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
CONFIG
}

# On a node, localhost is the node itself: there the registry's name is that of its container.
connect() {
  for node in $(kind get nodes --name "$NAME"); do
    docker exec "$node" mkdir -p "/etc/containerd/certs.d/localhost:$PORT"
    printf '[host."http://%s:5000"]\n' "$REGISTRY" |
      docker exec --interactive "$node" cp /dev/stdin "/etc/containerd/certs.d/localhost:$PORT/hosts.toml"
  done
  if ! docker network inspect --format '{{range .Containers}}{{println .Name}}{{end}}' kind | grep -qx "$REGISTRY"; then
    docker network connect kind "$REGISTRY"
  fi
}

# The autoscaler of notebook 3 and `kubectl top` ask for them. kind's nodes sign their own certificates.
metrics() {
  if kubectl --context "kind-$NAME" --namespace kube-system get deployment metrics-server >/dev/null 2>&1; then
    return
  fi
  say "adding the metrics of nodes and pods"
  kubectl --context "kind-$NAME" apply --filename "$METRICS" >/dev/null
  kubectl --context "kind-$NAME" --namespace kube-system patch deployment metrics-server --type json --patch \
    '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--kubelet-insecure-tls"}]' >/dev/null
}

case ${1:-up} in
  up)
    registry
    cluster
    connect
    metrics
    kubectl --context "kind-$NAME" get nodes
    say "ready; make doctor looks at it, and sh env_setup/kind.sh down removes it"
    ;;
  down) down ;;
  *)
    say "expected up or down, got $1"
    exit 2
    ;;
esac
