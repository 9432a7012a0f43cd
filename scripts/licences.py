"""Prints the licences of the crates that are linked into the binary for a target (argument 1): each text once, with its crates."""

import json
import pathlib
import subprocess
import sys

FILES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "UNLICENSE*", "license*", "COPYRIGHT*")


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True).stdout


target = sys.argv[1]
metadata = json.loads(cargo("metadata", "--format-version=1", "--locked", f"--filter-platform={target}"))
tree = cargo("tree", "--locked", "-p", "sentry-cli", "--edges=normal", f"--target={target}", "--prefix=none", "--format={p}")
linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line}

texts: dict[str, list[str]] = {}
print("Sentry is licensed under MIT or Apache-2.0. Linked into it are these crates, under licences of their own.\n")
for package in sorted(metadata["packages"], key=lambda package: (package["name"], package["version"])):
    if (package["name"], "v" + package["version"]) not in linked or package["source"] is None:
        continue
    name = f"{package['name']} {package['version']}"
    print(f"{name}: {package['license'] or 'see its file'}")
    directory = pathlib.Path(package["manifest_path"]).parent
    for file in sorted({file for pattern in FILES for file in directory.glob(pattern) if file.is_file()}):
        text = file.read_text(errors="replace").strip()
        texts.setdefault(text, []).append(name)
for text, names in texts.items():
    print("\n" + "-" * 80 + "\n" + ", ".join(names) + "\n\n" + text)
