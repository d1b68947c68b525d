#!/usr/bin/env python3
"""Refreshes src/datadog/operations.tsv from Datadog's published Python client.

    pip download --no-deps datadog-api-client -d DIR
    python3 tests/catalogue/refresh.py DIR/datadog_api_client-*.whl          # says what differs
    python3 tests/catalogue/refresh.py DIR/datadog_api_client-*.whl --write  # and writes the table

Method, path and authentication of what the client knows are facts and are taken over; a tag
stays what it was. The
other columns are this project's own reviewed judgement and are kept. A new operation is added with
the kind `unclassified`: the gate passes over such a line, so the call stays an unknown one, and a
test of src/datadog/catalogue.rs fails until somebody has read about it and written read, write or
delete, and the other columns. Nothing is removed: older clients still send what the newest one
has dropped.

Standard library only. It reads the wheel's sources and runs none of them. It lives with the tests,
since nothing of it is part of the program.
"""

import argparse
import ast
import pathlib
import re
import sys
import zipfile

TABLE = pathlib.Path(__file__).parents[2] / "src/datadog/operations.tsv"
COLUMNS = "method path operation_id tag kind effect host resources auth secret_request secret_response"
SCHEMES = {
    (): "none",
    ("apiKeyAuth",): "api",
    ("apiKeyAuth", "appKeyAuth"): "api+app",
    ("AuthZ", "apiKeyAuth", "appKeyAuth"): "api+app|oauth",
    ("AuthZ",): "oauth",
}
# Datadog's own older form of log intake, in no client: see the head of the table.
OURS = {("POST", "/v1/input/{}")}


def shape(path):
    """The path with all parameters alike."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def key(row):
    return row["method"], shape(row["path"])


def place(row):
    """How the table is sorted: by segments, then method."""
    return shape(row["path"]).split("/"), row["method"]


def read_table():
    head, rows = [], []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            head.append(line)
        else:
            rows.append(dict(zip(COLUMNS.split(), line.split("\t"), strict=True)))
    if list(rows[0].values()) != COLUMNS.split():
        sys.exit(f"{TABLE}: other columns than {COLUMNS}")
    return head, rows[1:]


def endpoints(wheel):
    """Every operation of the client, with `module` in place of the tag."""
    with zipfile.ZipFile(wheel) as files:
        for name in sorted(files.namelist()):
            match = re.fullmatch(r"datadog_api_client/(v\d)/api/(\w+)_api\.py", name)
            if not match:
                continue
            tree = ast.parse(files.read(name), name)
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "_Endpoint":
                    yield endpoint(call, match[2], name)


def endpoint(call, module, name):
    settings = next(word.value for word in call.keywords if word.arg == "settings")
    found = {}
    for word, value in zip(settings.keys, settings.values, strict=True):
        # Types of answers are names of classes, and lists of servers call things: not needed.
        if word.value in ("endpoint_path", "http_method", "operation_id", "auth"):
            found[word.value] = ast.literal_eval(value)
    missing = {"endpoint_path", "http_method", "operation_id"} - set(found)
    if missing:
        sys.exit(f"{name}: an endpoint without {missing}: the client is built otherwise now")
    schemes = tuple(sorted(found.get("auth", [])))
    if schemes not in SCHEMES:
        sys.exit(f"{name}: unknown authentication {schemes}")
    return {
        "method": found["http_method"],
        "path": found["endpoint_path"],
        "operation": found["operation_id"],
        "module": module,
        "auth": SCHEMES[schemes],
    }


def snake(camel):
    """As the Python client spells an operationId."""
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", camel)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


def spelling(rows):
    """How the table spells words: `slo` is `SLO`, `oauth2` is `OAuth2`."""
    words = {}
    for row in rows:
        camel = row["operation_id"]
        parts, at = snake(camel).split("_"), 0
        for part in parts:
            words[part] = camel[at : at + len(part)]
            at += len(part)
    return words


def refresh(rows, found):
    """Compares, changes `rows`, and returns what is to be said."""
    said = []
    table = {key(row): row for row in rows}
    words = spelling(rows)
    known = {key(row): row for row in found}
    tags = {}
    for at, row in known.items():
        if at in table:
            tags.setdefault(row["module"], {}).setdefault(table[at]["tag"], []).append(at)
    for at, new in sorted(known.items()):
        old = table.get(at)
        if old is None:
            camel = "".join(words.get(w, w.capitalize()) for w in new["operation"].split("_"))
            tag = tags.get(new["module"]) or {new["module"].replace("_", " ").title(): []}
            rows.append(
                {
                    "method": new["method"],
                    "path": new["path"],
                    "operation_id": camel,
                    "tag": max(tag, key=lambda it: len(tag[it])),
                    "kind": "unclassified",
                    "effect": "",
                    "host": "api",
                    "resources": "?",
                    "auth": new["auth"],
                    "secret_request": "",
                    "secret_response": "",
                }
            )
            said.append(f"new: {new['method']} {new['path']} {camel}")
            continue
        plain = lambda text: text.replace("_", "")
        if plain(new["operation"]) != old["operation_id"].lower():
            said.append(f"renamed: {old['operation_id']} is {new['operation']} ({at[0]} {at[1]})")
        for column in ("path", "auth"):
            if old[column] != new[column]:
                said.append(f"{column} of {old['operation_id']}: {old[column]} is {new[column]}")
                old[column] = new[column]
    for at, old in sorted(table.items()):
        if at not in known and at not in OURS:
            said.append(f"not in this client, kept: {at[0]} {old['path']} {old['operation_id']}")
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("--write", action="store_true", help="write the table")
    arguments = parser.parse_args()
    head, rows = read_table()
    found = list(endpoints(arguments.wheel))
    if len(found) < len(rows) // 2:
        sys.exit(f"{arguments.wheel}: only {len(found)} operations: the client is built otherwise now")
    said = refresh(rows, found)
    print("\n".join(said))
    open_rows = sum(row["kind"] == "unclassified" for row in rows)
    print(f"{len(found)} operations in the client, {len(rows)} in the table, {open_rows} unclassified")
    if arguments.write:
        rows.sort(key=place)
        lines = head + ["\t".join(COLUMNS.split())] + ["\t".join(row.values()) for row in rows]
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
