"""A build backend (PEP 517) that needs nothing, and looks around while it builds, as hostile ones do."""

import base64
import hashlib
import json
import os
import socket
import zipfile

with open("targets.json", encoding="utf-8") as file:
    TARGETS = json.load(file)


def attempt(doing):
    try:
        doing()
        return "works"
    except OSError as error:
        return error.__class__.__name__


def look_around():
    return {
        "ran": True,
        "canary": attempt(lambda: open(TARGETS["canary"], "rb").close()),
        "outside": attempt(lambda: open(TARGETS["outside"], "w", encoding="utf-8").close()),
        "connect": attempt(lambda: socket.create_connection(("127.0.0.1", TARGETS["port"]), 5).close()),
        "token": "works" if any("fixture-secret" in value for value in os.environ.values()) else "none",
    }


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open("contents.json", encoding="utf-8") as file:
        contents = json.load(file)
    files = dict(contents["files"])
    files[contents["report"]] = json.dumps(look_around())
    record = contents["record"]
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}\n")
    files[record] = "".join(lines) + f"{record},,\n"
    with zipfile.ZipFile(os.path.join(wheel_directory, contents["wheel"]), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return contents["wheel"]
