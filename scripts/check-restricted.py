"""Fails unless every pod of the given manifests meets the Pod Security Standard "restricted", has a read-only root, may write
its volumes, and is closed to others by a network policy that is for it alone.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

import sys

import yaml

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def problems(pod):
    security = pod.get("securityContext", {})
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile is not RuntimeDefault"
    if security.get("runAsUser") == 0:
        yield "runAsUser is 0"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"{key} is set"
    if any("persistentVolumeClaim" in volume for volume in pod.get("volumes", [])) and not security.get("fsGroup"):
        yield "fsGroup is not set: most volumes belong to root"
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= ALLOWED_VOLUMES:
            yield f"volume {volume['name']} is of a kind that is not allowed: {kinds}"
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        name = container["name"]
        if own.get("runAsNonRoot", security.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot is not true"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation is not false"
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: capabilities.drop is not [ALL]"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name}: readOnlyRootFilesystem is not true"


def closed(template, policies):
    """Whether a policy that names one of the pod's labels lets nobody in."""
    labels = template["metadata"].get("labels", {}).items()
    for policy in (p["spec"] for p in policies):
        wanted = policy["podSelector"].get("matchLabels", {})
        if wanted and wanted.items() <= labels and "Ingress" in policy["policyTypes"] and not policy.get("ingress"):
            return True
    return False


def main(path):
    with open(path, encoding="utf-8") as file:
        documents = [d for d in yaml.safe_load_all(file) if d]
    templates = [d["spec"]["template"] for d in documents if d["kind"] == "Deployment"]
    policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
    pods = [template["spec"] for template in templates]
    found = [p for pod in pods for p in problems(pod)]
    if not all(closed(template, policies) for template in templates):
        found.append("no network policy closes the pod")
    for problem in found:
        print(f"check-restricted: {problem}", file=sys.stderr)
    if not pods:
        print("check-restricted: no Deployment found", file=sys.stderr)
    if found or not pods:
        return 1
    print(f"check-restricted: {len(pods)} pod meets the restricted profile and is closed")
    return 0


sys.exit(main(sys.argv[1]))
