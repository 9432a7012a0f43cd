"""Writes into an OCI image layout (argument 1) the file by which `docker load` finds the image, under a name (argument 2).

Docker of before version 25 knows its own format only: https://docs.docker.com/reference/cli/docker/image/save/
"""

import json
import pathlib
import sys

layout, name = pathlib.Path(sys.argv[1]), sys.argv[2]


def blob(descriptor: dict) -> str:
    return "blobs/" + descriptor["digest"].replace(":", "/")


index = json.loads((layout / "index.json").read_text())
(entry,) = index["manifests"]
# containerd takes the whole name from here; what stands there by the specification is the tag alone.
entry["annotations"]["io.containerd.image.name"] = f"docker.io/library/{name}"
(layout / "index.json").write_text(json.dumps(index, sort_keys=True))
manifest = json.loads((layout / blob(entry)).read_text())
layers = [blob(layer) for layer in manifest["layers"]]
(layout / "manifest.json").write_text(json.dumps([{"Config": blob(manifest["config"]), "RepoTags": [name], "Layers": layers}]))
