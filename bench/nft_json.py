"""What it takes to read `nft -j` of a node with 45,000 Services: time beside `str.split`, and memory.

`python -m bench.nft_json [SERVICES]`: made up from captures of real kube-proxies (tests/captures/dataplanes), in the
layout with a chain for each endpoint (1.34.3) and in today's (1.36.2). Each Service is a copy of a captured one with
its three endpoints, a ClusterIP or a NodePort, with other names, addresses and ports. Seconds are of the processor, and
the peak is that of a process of its own, which holds the text as well while it is parsed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.parse.nft_json import parse_nft_json
from tests.captures.capture_dataplanes import DATAPLANES, load

SERVICES = 45_000
LAYOUTS = ("1.34.3", "1.36.2")
ROUNDS = 3
MODELS = {"ClusterIP": "three", "NodePort": "nodeport"}
"""By what each Service is: the name of the captured one."""
_MODEL_NAME = r"[A-Z2-7]{8}-shapes/%s/tcp/http(?:__(?P<address>[0-9.]+)/8080)?"
_ENDPOINTS = ("10.244.1.201", "10.244.1.202", "10.244.2.203")
_PLACE = ("ip", "kube-proxy")

Json = dict[str, Any]


def main() -> None:
    """Print a line for each layout."""
    services = int(sys.argv[1]) if len(sys.argv) > 1 else SERVICES
    print(f"| {services} Services | layout of | text, MB | rules | elements |", end="")
    print(" `parse_nft_json`, s | `str.split` | ratio | peak, MiB |", end="")
    print(" with the service map, s | ratio | peak, MiB | entries |")
    print("| --- " * 13 + "|")
    with tempfile.TemporaryDirectory(prefix="netinspect-bench-") as folder:
        for kind, layout in product(MODELS, LAYOUTS):
            path = Path(folder) / f"{layout}.json"
            write_listing(path, layout, services, MODELS[kind])
            runs = [measure_apart("parse", path) for _ in range(ROUNDS)]
            best = min(runs, key=lambda run: float(run["seconds"]))
            mapped = measure_apart("map", path)
            print(
                f"| {kind} | {layout} | {path.stat().st_size / 1e6:.0f} | {best['rules']} | {best['elements']} | "
                f"{best['seconds']:.1f} | {best['split_s']:.2f} | {best['seconds'] / best['split_s']:.0f} | "
                f"{max(run['peak_mib'] for run in runs):.0f} | {mapped['seconds']:.1f} | "
                f"{mapped['seconds'] / best['split_s']:.0f} | {mapped['peak_mib']:.0f} | {mapped['entries']} |",
                flush=True,
            )
            path.unlink()


def measure_apart(stage: str, path: Path) -> Json:
    """Read a listing in a process of its own: what this one holds would be in its peak."""
    argv = [sys.executable, "-m", "bench.nft_json", stage, str(path)]
    run: Json = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return run


def measure_parse(path: Path) -> Json:
    """Read a listing, and return what it took and what was in it."""
    data = path.read_bytes()
    begin = time.process_time()
    (table,) = parse_nft_json(data).tables
    seconds = time.process_time() - begin
    peak_mib = read_peak()
    counts = {
        "rules": sum(len(chain.rules) for chain in table.chains.values()),
        "elements": sum(len(each.elements) for each in table.sets.values()),
    }
    del table
    text = data.decode()
    begin = time.process_time()
    text.split()
    return {"seconds": seconds, "split_s": time.process_time() - begin, "peak_mib": peak_mib, **counts}


def measure_map(path: Path) -> Json:
    """Read a listing into a service map, and return what it took; the text is let go when it is parsed."""
    begin = time.process_time()
    ruleset = parse_nft_json(path.read_bytes())
    found = read_nft_map("node-a", 4, ruleset, [IPv4Address("10.99.0.11")])
    return {
        "seconds": time.process_time() - begin,
        "peak_mib": read_peak(),
        "entries": len(found.entries),
    }


def read_peak() -> float:
    """Return the most memory that this process had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


STAGES = {"parse": measure_parse, "map": measure_map}


def write_listing(path: Path, layout: str, services: int, model: str) -> None:
    """Write what `nft -j list table ip kube-proxy` prints of so many Services, in nft's order of objects."""
    capture = read_capture(layout, model)
    kinds = ("metainfo", "table", "set", "map", "chain", "rule")
    with path.open("w") as file:
        file.write('{"nftables": [')
        for index, part in enumerate(part for kind in kinds for part in print_kind(kind, capture, services)):
            file.write(f"{', ' if index else ''}{part}")
        file.write("]}\n")


class Capture(NamedTuple):
    """A captured table: what it has for no Service and for all of them, and what of the model Service is replaced."""

    frame: list[Json]
    model: list[Json]
    variables: dict[str, str]


def read_capture(layout: str, name_of_model: str) -> Capture:
    """Read one family's table of a captured kube-proxy, and leave out what it has for Services but the model."""
    model_name = re.compile(_MODEL_NAME % name_of_model)
    folder = DATAPLANES / f"{layout}-nftables"
    listed: list[Json] = json.loads(load(folder, "nft.json"))["nftables"]
    frame, model = [], []
    for each in listed:
        ((kind, body),) = each.items()
        place = (body.get("family"), body["name"] if kind == "table" else body.get("table"))
        name = body.get("chain", body.get("name", ""))
        if model_name.search(name) and place == _PLACE:
            model.append(each)
        elif kind == "metainfo" or (place == _PLACE and "/" not in name):
            frame.append(each)
    services = json.loads(load(folder, "services.json"))["items"]
    (spec,) = (each["spec"] for each in services if each["metadata"]["name"] == name_of_model)
    variables = {f'"{spec["clusterIP"]}"': '"%(vip)s"'}
    if node_port := spec["ports"][0].get("nodePort"):
        variables[str(node_port)] = "%(node_port)d"
    for number, address in enumerate(_ENDPOINTS):
        variables[f'"{address}"'] = f'"%(address_{number})s"'
    for found in model_name.finditer(json.dumps(model)):
        address = found["address"]
        variables[found[0]] = f"%(endpoint_{_ENDPOINTS.index(address)})s" if address else "%(service)s"
    # The longest first: a Service's name is the beginning of its endpoints' names, but for the hash.
    return Capture(frame, model, dict(sorted(variables.items(), key=lambda each: -len(each[0]))))


def print_kind(kind: str, capture: Capture, services: int) -> Iterator[str]:
    """Print the objects of one kind."""
    for each in capture.frame:
        if kind in each:
            yield print_set(each, capture, services) if kind in ("set", "map") else json.dumps(each)
    templates = [make_template(each, capture) for each in capture.model if kind in each]
    for number in range(services if templates else 0):
        values = make_values(number)
        yield from (template % values for template in templates)


def print_set(item: Json, capture: Capture, services: int) -> str:
    """Print a set or a map of all Services with what it has for the model, for each."""
    ((kind, body),) = item.items()
    if body["name"] == "nodeport-ips":
        return json.dumps(item)
    found = [make_template(each, capture) for each in body.get("elem", ())]
    templates = [each for each in found if "%(" in each and ("address" not in each or ", 8080]" in each)]
    if not templates:
        return json.dumps({kind: {name: value for name, value in body.items() if name != "elem"}})
    elements = [template % make_values(number) for number in range(services) for template in templates]
    return json.dumps({kind: {**body, "elem": "ELEMENTS"}}).replace('"ELEMENTS"', f"[{', '.join(elements)}]")


def make_template(item: Any, capture: Capture) -> str:
    """Return JSON in which what differs from Service to Service is to be filled in by `%`."""
    text = json.dumps(item)
    for old, new in capture.variables.items():
        text = text.replace(old, new)
    return text


def make_values(number: int) -> dict[str, str | int]:
    """Return what is filled in for one Service."""
    name = f"team-{number % 200}/service-{number}/tcp/http"
    high, low = divmod(number, 250)
    addresses = [f"10.{128 + 40 * index + high // 250}.{high % 250}.{low + 1}" for index in range(3)]
    return {
        "vip": f"10.{96 + high // 250}.{high % 250}.{low + 1}",
        "node_port": 1024 + number,
        "service": hashed(name),
        **{f"address_{index}": address for index, address in enumerate(addresses)},
        **{f"endpoint_{index}": hashed(f"{name}__{address}/8080") for index, address in enumerate(addresses)},
    }


def hashed(name: str) -> str:
    """Return a name with its hash before it, as kube-proxy makes it."""
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:8] + f"-{name}"


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STAGES:
        print(json.dumps(STAGES[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main()
