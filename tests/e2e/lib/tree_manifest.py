"""What is in a tree, for a comparison file by file: a line of JSON each, by path.

    tree_manifest.py ROOT [ID]     ID: the number on this host that id 0 has there

Mount points, and what each start of a box writes anew, are left out.
"""
import hashlib
import json
import os
import stat
import sys

root = os.fsencode(sys.argv[1])
base = int(sys.argv[2]) if len(sys.argv) > 2 else 0
LEFT_OUT = {b"dev", b"proc", b"sys", b"tmp", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"}
lines = []
names = {}  # of files with several, here or in a layer that is hidden


def shown(raw):
    return raw.decode("latin-1")


def capability(value):
    """Whose namespace a file's capabilities are for is left out: revision 3 says that at its end (capabilities(7))."""
    return value[4:20].hex() + ("e" if value[0] & 1 else "")


def xattrs(path):
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        value = os.getxattr(path, name, follow_symlinks=False)
        found[name] = capability(value) if name == "security.capability" else value.hex()
    return found


def entry(path, name):
    status = os.lstat(path)
    line = {
        "path": shown(name), "type": stat.S_IFMT(status.st_mode), "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": [status.st_uid - base, status.st_gid - base], "xattrs": xattrs(path),
        "time": status.st_mtime_ns,
    }
    if stat.S_ISREG(status.st_mode):
        line["size"] = status.st_size
        with open(path, "rb") as file:
            line["hash"] = hashlib.file_digest(file, "sha256").hexdigest()
        if status.st_nlink > 1:
            names.setdefault((status.st_dev, status.st_ino), []).append(line)
    if stat.S_ISLNK(status.st_mode):
        line["target"] = shown(os.readlink(path))
    return line


def walk(directory, prefix):
    for item in sorted(os.listdir(directory)):
        name = prefix + item
        if name in LEFT_OUT:
            continue
        path = os.path.join(directory, item)
        line = entry(path, name)
        lines.append(line)
        if stat.S_ISDIR(line["type"]):
            walk(path, name + b"/")


walk(root, b"")
for same in names.values():
    for line in same if len(same) > 1 else []:
        line["same"] = same[0]["path"]
for line in lines:
    print(json.dumps(line, sort_keys=True))
