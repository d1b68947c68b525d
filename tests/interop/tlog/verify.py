#!/usr/bin/env python3
"""Checks what `ddgate export --format tlog` or `ddgate prove` wrote, without ddgate.

Written from ddgate-log(5) and the specifications it names, not from ddgate's sources: RFC 9162
hashing and inclusion proofs, C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof, and Ed25519
of RFC 8032 (its section 5.1, in plain Python: slow, and nothing to install).

    verify.py DIRECTORY            an exported session
    verify.py --proof DIRECTORY    the proof of a call

Ends with 0 and one line of JSON, or with 1 and what does not hold.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import sys


class Wrong(Exception):
    pass


def hold(condition, what):
    if not condition:
        raise Wrong(what)


# --- Ed25519, RFC 8032 section 5.1 ---------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def times(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point_of(octets):
    y = int.from_bytes(octets, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    hold(y < P, "a point out of range")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    hold((x * x - square) % P == 0, "not a point of the curve")
    hold(x or not sign, "not a point of the curve")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(public, message, signature):
    if len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % L
    try:
        point, key = point_of(signature[:32]), point_of(public)
    except Wrong:
        return False
    return same(times(scalar, BASE), add(point, times(challenge, key)))


# --- RFC 9162 section 2.1 ------------------------------------------------------------------------


def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots_of(hashes, sizes):
    """The root of the tree over the first n hashes, for each n in sizes."""
    stack, roots = [], {}
    for count, digest in enumerate(hashes, 1):
        stack.append(digest)
        bits = count
        while bits & 1 == 0:
            right = stack.pop()
            stack.append(node_hash(stack.pop(), right))
            bits >>= 1
        if count in sizes:
            root = stack[-1]
            for left in reversed(stack[:-1]):
                root = node_hash(left, root)
            roots[count] = root
    return roots


def included(digest, index, size, path, root):
    """RFC 9162 section 2.1.3.2."""
    hold(index < size, "a leaf outside the tree")
    node, last = index, size - 1
    for sibling in path:
        hold(last, "a path that is too long")
        if node & 1 or node == last:
            digest = node_hash(sibling, digest)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    hold(last == 0 and digest == root, "the path does not lead to the root")


# --- C2SP signed-note and tlog-checkpoint ---------------------------------------------------------


def vkey(text):
    name, identity, typed = text.split("+", 2)
    typed = base64.b64decode(typed, validate=True)
    hold(name and not re.search(r"\s", name), "the name of the key")
    hold(len(typed) == 33 and typed[0] == 1, "not an Ed25519 key")
    digest = hashlib.sha256(name.encode() + b"\n" + typed).digest()
    hold(digest[:4].hex() == identity, "the id of the key")
    return name, digest[:4], typed[1:]


def checkpoint(note, key):
    name, identity, public = key
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    signed = False
    hold(signatures.endswith("\n"), "a note that does not end")
    for line in signatures[:-1].split("\n"):
        hold(line.startswith("\u2014 "), "a line that is no signature")
        who, signature = line[2:].split(" ")
        signature = base64.b64decode(signature, validate=True)
        if who == name and signature[:4] == identity:
            hold(ed25519(public, text.encode(), signature[4:]), "a false signature")
            signed = True
    hold(signed, "a checkpoint that nobody signed")
    lines = text.split("\n")
    hold(len(lines) == 4 and lines[0] == name and lines[3] == "", "lines of a checkpoint")
    hold(str(int(lines[1])) == lines[1], "the size of a checkpoint")
    root = base64.b64decode(lines[2], validate=True)
    hold(len(root) == 32, "the root of a checkpoint")
    return int(lines[1]), root


# --- C2SP tlog-tiles -----------------------------------------------------------------------------


def tile_path(kind, index, width):
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    partial = "" if width == 256 else f".p/{width}"
    return f"tile/{kind}/{'/'.join(groups)}{partial}"


def tiles(count):
    """Index and width of the tiles over so many nodes."""
    for index in range(0, count, 256):
        yield index // 256, min(256, count - index)


def leaves_of(directory, size):
    for index, width in tiles(size):
        path = tile_path("entries", index, width)
        bundle = (directory / path).read_bytes()
        for _ in range(width):
            length = int.from_bytes(bundle[:2], "big")
            leaf, bundle = bundle[2 : 2 + length], bundle[2 + length :]
            hold(len(leaf) == length, f"{path} ends early")
            yield leaf
        hold(not bundle, f"{path} goes on")


def check_tiles(directory, hashes):
    level, count = 0, 0
    while hashes:
        for index, width in tiles(len(hashes)):
            path = tile_path(level, index, width)
            wanted = b"".join(hashes[index * 256 : index * 256 + width])
            hold((directory / path).read_bytes() == wanted, path)
            count += 1
        full = len(hashes) // 256
        hashes = [roots_of(hashes[i * 256 : i * 256 + 256], {256})[256] for i in range(full)]
        level += 1
    return count


# --- leaves and their openings: ddgate-log(5) ------------------------------------------------------


def b64url(text):
    hold("=" not in text, "padding in base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def commitments(leaf):
    return {
        field: value
        for field, value in leaf.items()
        if isinstance(value, dict) and set(value) == {"c", "n"}
    }


def check_openings(directory, leaves):
    """`leaves`: by index. Every opening is committed to; returns how many, and what is not opened."""
    closed = {(i, f): c for i, leaf in leaves.items() for f, c in commitments(leaf).items()}
    opened, blobs = 0, set()
    for line in (directory / "openings.jsonl").read_bytes().splitlines():
        line = json.loads(line)
        what = f"the {line['f']} of leaf {line['i']}"
        committed = closed.pop((line["i"], line["f"]), None)
        hold(committed is not None, f"nothing commits to {what}")
        if line.get("erased"):
            hold(set(line) == {"i", "f", "erased"}, f"erased, and yet there: {what}")
            continue
        if "sealed" in line:
            for name in [line["sealed"], *line.get("blobs", [])]:
                blob = (directory / "blob" / name).read_bytes()
                hold(hashlib.sha256(blob).hexdigest() == name, f"an age file of {what}")
                blobs.add(name)
            # An age file is as much as can be seen of it from outside.
            opened += 1
            continue
        if "blob" in line:
            content = (directory / "blob" / line["blob"]).read_bytes()
            hold(hashlib.sha256(content).hexdigest() == line["blob"], f"the blob of {what}")
            blobs.add(line["blob"])
        else:
            content = b64url(line["content"])
        message = b"ddgate/v1/" + line["f"].encode() + b"\x00" + content
        tag = hmac.digest(b64url(line["salt"]), message, "sha256")
        hold(b64url(committed["c"]) == tag and committed["n"] == len(content), what)
        opened += 1
    held = {path.name for path in (directory / "blob").glob("*")}
    hold(held == blobs, "blobs that nothing speaks of")
    unexplained = [(i, f) for i, f in closed if not {"unkept", "level"} & set(leaves[i])]
    hold(not unexplained, f"not opened: {unexplained}")
    return opened


def said(leaf, index):
    hold(len(leaf) <= 65535 and b"\n" not in leaf, f"leaf {index} is not a line")
    says = json.loads(leaf)
    keys = list(says)
    hold(keys == sorted(keys), f"the keys of leaf {index} are not sorted")
    hold(says["i"] == index and says["v"] == 1, f"leaf {index} says it is another one")
    return says


def session(directory):
    key = vkey((directory / "vkey").read_text().removesuffix("\n"))
    trees = {}
    for path in sorted((directory / "checkpoints").iterdir()):
        size, root = checkpoint(path.read_text(), key)
        hold(path.name == f"{size:020}", f"{path.name} states another size")
        trees[size] = root
    size = max(trees)
    raw = list(leaves_of(directory, size))
    hashes = [leaf_hash(leaf) for leaf in raw]
    hold(roots_of(hashes, trees) == trees, "a root is not that of the leaves")
    leaves = {index: said(leaf, index) for index, leaf in enumerate(raw)}
    hold(leaves[0]["t"] == "session.open", "leaf 0 opens nothing")
    hold(leaves[0]["origin"] == key[0], "leaf 0 has another origin")
    hold(vkey(leaves[0]["vkey"]) == key, "leaf 0 names another key")
    closes = [i for i, leaf in leaves.items() if leaf["t"] == "session.close"]
    hold(closes in ([], [size - 1]), "something follows the close")
    return {
        "leaves": size,
        "checkpoints": len(trees),
        "tiles": check_tiles(directory, hashes),
        "openings": check_openings(directory, leaves),
        "closed": bool(closes),
    }


def proof(directory):
    key = vkey((directory / "vkey").read_text().removesuffix("\n"))
    leaves, size = {}, 0
    for path in sorted((directory / "leaf").iterdir()):
        leaf, index = path.read_bytes(), int(path.name)
        text = (directory / "proof" / f"{index}.tlog-proof").read_text()
        head, note = text.split("\n\n", 1)
        header, stated, *hashes = head.split("\n")
        hold(header == "c2sp.org/tlog-proof@v1", "the header of a proof")
        hold(stated == f"index {index}", "the index of a proof")
        size, root = checkpoint(note, key)
        hashes = [base64.b64decode(line, validate=True) for line in hashes]
        included(leaf_hash(leaf), index, size, hashes, root)
        leaves[index] = said(leaf, index)
    hold(leaves, "no leaf")
    hold(len({leaf["call"] for leaf in leaves.values()}) == 1, "leaves of several calls")
    return {"leaves": len(leaves), "size": size, "openings": check_openings(directory, leaves)}


def main(words):
    check = proof if words[0] == "--proof" else session
    try:
        print(json.dumps(check(pathlib.Path(words[-1]))))
    except (Wrong, OSError, ValueError, KeyError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
