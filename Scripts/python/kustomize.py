"""The part of kustomize that Cluster/kubernetes uses; whatever else a kustomization says is refused.

Where kubectl or kustomize is installed, kubernetes_check.py compares what they render.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

KNOWN = {"apiVersion", "kind", "namespace", "resources", "images", "patches"}
UNBOUND = {"Namespace"}
"""Kinds that belong to no namespace."""


class Problem(Exception):
    """Something that kustomize would refuse, or do otherwise than is meant."""


def documents(file: Path) -> list[Object]:
    if not file.is_file():
        raise Problem(f"{file} is not there")
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def render(folder: Path) -> list[Object]:
    [settings] = documents(folder / "kustomization.yaml")
    if unknown := settings.keys() - KNOWN:
        raise Problem(f"{folder}: this reader does not know {', '.join(sorted(unknown))}")
    objects: list[Object] = []
    for resource in settings.get("resources", []):
        path = folder / resource
        objects += render(path) if path.is_dir() else documents(path)
    for patch in settings.get("patches", []):
        apply(patch, objects, folder)
    for item in objects:
        if "namespace" in settings and item["kind"] not in UNBOUND:
            item["metadata"]["namespace"] = settings["namespace"]
        for image in settings.get("images", []):
            tag(item, image)
    return objects


def apply(patch: Object, objects: list[Object], folder: Path) -> None:
    """One patch: a list of operations (RFC 6902) on its target, or the removal of an object."""
    if unknown := patch.keys() - {"path", "patch", "target", "options"}:
        raise Problem(f"{folder}: this reader does not know {', '.join(sorted(unknown))} of a patch")
    [content] = [yaml.safe_load(patch["patch"])] if "patch" in patch else documents(folder / patch["path"])
    if isinstance(content, dict):
        if content.get("$patch") != "delete":
            raise Problem(f"{folder}: this reader merges no objects; write operations of RFC 6902")
        objects.remove(find(objects, content["kind"], content["metadata"]["name"], folder))
        return
    target = find(objects, patch["target"]["kind"], patch["target"]["name"], folder)
    kind = target["kind"]
    for operation in content:
        operate(target, operation, folder)
    if target["kind"] != kind and not patch.get("options", {}).get("allowKindChange"):
        raise Problem(f"{folder}: a patch changes a kind without allowKindChange")


def find(objects: list[Object], kind: str, name: str, folder: Path) -> Object:
    found = [item for item in objects if (item["kind"], item["metadata"].get("name")) == (kind, name)]
    if len(found) != 1:
        raise Problem(f"{folder}: a patch is for {kind} {name}, of which there are {len(found)}")
    return found[0]


def operate(target: Object, operation: Object, folder: Path) -> None:
    place: Any = target
    *way, last = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]]
    try:
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        key: Any = int(last) if isinstance(place, list) else last
        match operation["op"]:
            case "add" if isinstance(place, dict):
                place[key] = copy.deepcopy(operation["value"])
            case "replace":
                place[key]  # Must be there.
                place[key] = copy.deepcopy(operation["value"])
            case "remove":
                del place[key]
            case "test" if place[key] == operation["value"]:
                pass
            case _:
                raise Problem(f"{folder}: {operation} cannot be done")
    except (KeyError, IndexError, ValueError) as error:
        raise Problem(f"{folder}: {operation} leads nowhere: {error!r}") from error


def tag(item: Object, image: Object) -> None:
    pod = item.get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("initContainers", []) + pod.get("containers", []):
        name, _, old = container["image"].partition(":")
        if name == image["name"]:
            container["image"] = f"{image.get('newName', name)}:{image.get('newTag', old)}"
