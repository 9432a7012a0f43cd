"""Fails unless every pod of the given manifests meets the Pod Security Standard "restricted" and has a read-only root.

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


def main(path):
    with open(path, encoding="utf-8") as file:
        documents = [d for d in yaml.safe_load_all(file) if d]
    pods = [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment"]
    found = [p for pod in pods for p in problems(pod)]
    for problem in found:
        print(f"check-restricted: {problem}", file=sys.stderr)
    if not pods:
        print("check-restricted: no Deployment found", file=sys.stderr)
    if found or not pods:
        return 1
    print(f"check-restricted: {len(pods)} pod meets the restricted profile")
    return 0


sys.exit(main(sys.argv[1]))
