"""Kubeconfig files: which ones are read, and how they become one configuration.

The rules are those of client-go (tools/clientcmd/loader.go): `--kubeconfig` alone, else the files of
`KUBECONFIG`, else `~/.kube/config`; missing files of a list are skipped; **the first file that sets a value, or
names a context, cluster or user, wins**; relative paths belong to the folder of the file that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netinspect.errors import ClusterError

Entry = dict[str, Any]

# client-go: GetClusterFileReferences and GetAuthInfoFileReferences.
_CLUSTER_PATHS = ("certificate-authority",)
_USER_PATHS = ("client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, repr=False)
class KubeconfigFile:
    """One file, or several merged: entries by name. Has no `repr` of its content, which is secret."""

    current_context: str = ""
    clusters: Mapping[str, Entry] = field(default_factory=dict)
    users: Mapping[str, Entry] = field(default_factory=dict)
    contexts: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it names nothing at all."""
        return not (self.current_context or self.clusters or self.users or self.contexts)


def load_files(explicit: str, environ: Mapping[str, str]) -> KubeconfigFile:
    """Read and merge the files that kubectl would read.

    Raises:
        ClusterError: the named file is missing, or a file is not to be read.
    """
    if explicit:
        if not os.path.exists(explicit):
            raise ClusterError(f"error: stat {explicit}: no such file or directory")
        return read_file(explicit)
    found = (read_file(path) for path in _default_paths(environ) if os.path.exists(path))
    return merge_files(found)


def merge_files(files: Iterable[KubeconfigFile]) -> KubeconfigFile:
    """Merge: the earlier file wins, value by value and entry by entry (entries are never mixed)."""
    merged = KubeconfigFile()
    for file in files:
        merged = KubeconfigFile(
            current_context=merged.current_context or file.current_context,
            clusters={**file.clusters, **merged.clusters},
            users={**file.users, **merged.users},
            contexts={**file.contexts, **merged.contexts},
        )
    return merged


def read_file(path: str) -> KubeconfigFile:
    """Read one file.

    Raises:
        ClusterError: it cannot be read, is no YAML, or names an entry twice.
    """
    document = _read_yaml(path)
    base = os.path.dirname(os.path.abspath(path))
    clusters = _named(document, "clusters", "cluster", path)
    users = _named(document, "users", "user", path)
    return KubeconfigFile(
        current_context=str(document.get("current-context") or ""),
        clusters={name: _absolute(entry, _CLUSTER_PATHS, base) for name, entry in clusters.items()},
        users={name: _absolute_user(entry, base) for name, entry in users.items()},
        contexts=_named(document, "contexts", "context", path),
    )


def _default_paths(environ: Mapping[str, str]) -> list[str]:
    listed = environ.get("KUBECONFIG", "")
    if listed:
        return [path for path in listed.split(os.pathsep) if path]
    home = environ.get("HOME") or str(Path.home())
    return [os.path.join(home, ".kube", "config")]


def _read_yaml(path: str) -> Entry:
    # PyYAML costs about as much as the rest of the door: not paid for by `--help`.
    import yaml

    try:
        data = Path(path).read_bytes()
        document = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ClusterError(f'error: error loading config file "{path}": open {path}: {reason}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # `from None`: the library's own text quotes the lines around the fault, which may be a token.
        raise ClusterError(f'error: error loading config file "{path}": {_describe_yaml(error)}') from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ClusterError(f'error: error loading config file "{path}": it is not a kubeconfig')
    return document


def _describe_yaml(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}: " if mark is not None else ""
    return f"yaml: {line}{getattr(error, 'problem', None) or 'not valid YAML'}"


def _named(document: Entry, list_key: str, entry_key: str, path: str) -> dict[str, Entry]:
    """Turn `[{name: N, cluster: {...}}]` into `{N: {...}}`; a name given twice is an error, as in kubectl."""
    entries: dict[str, Entry] = {}
    for item in document.get(list_key) or ():
        name = str(item.get("name", "")) if isinstance(item, dict) else None
        if name is None:
            raise ClusterError(
                f'error: error loading config file "{path}": an entry of {list_key} has no name'
            )
        if name in entries:
            raise ClusterError(
                f'error: error loading config file "{path}": duplicate name "{name}" in list {list_key}'
            )
        entries[name] = dict(item.get(entry_key) or {})
    return entries


def _absolute(entry: Entry, keys: tuple[str, ...], base: str) -> Entry:
    paths = {key: os.path.join(base, str(entry[key])) for key in keys if entry.get(key)}
    return {**entry, **paths}


def _absolute_user(entry: Entry, base: str) -> Entry:
    """Also the command of an exec plugin, unless it is a bare name to be found on PATH."""
    entry = _absolute(entry, _USER_PATHS, base)
    plugin = entry.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command", "")):
        entry["exec"] = _absolute(plugin, ("command",), base)
    return entry
