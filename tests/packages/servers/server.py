"""A small MCP server for tests. It does what it is told with files, connections and variables, and says how that went."""

import importlib.metadata
import json
import os
import socket
import sys

from . import NAME, VERSION, WANTS

TEXT = {"type": "string"}


def tool(name, description, /, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "inputSchema": schema}


TOOLS = [
    tool("about", "Says what runs here." if VERSION.startswith("1.") else "Says what runs here, and since when."),
    tool("read", "Reads a file.", path=TEXT),
    tool("write", "Writes a file.", path=TEXT, text=TEXT),
    tool("connect", "Connects to a port of this machine.", port={"type": "integer"}),
    tool("variable", "Says the value of a variable.", name=TEXT),
]
if not VERSION.startswith("1."):
    TOOLS.append(tool("list", "Lists a directory.", path=TEXT))


def part(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def about():
    parts = {name: part(name) for name in WANTS}
    program = os.path.basename(sys.argv[0])
    place = os.path.dirname(os.path.abspath(__file__))
    return json.dumps(
        {"name": NAME, "version": VERSION, "program": program, "arguments": sys.argv[1:], "parts": parts, "place": place}
    )


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return "written"


def connect(port):
    socket.create_connection(("127.0.0.1", port), 5).close()
    return "connected"


def variable(name):
    return os.environ.get(name, "(none)")


def list_directory(path):
    return "\n".join(os.listdir(path))


DOINGS = {"about": about, "read": read, "write": write, "connect": connect, "variable": variable, "list": list_directory}


def call(params):
    try:
        return {"content": [{"type": "text", "text": DOINGS[params["name"]](**params.get("arguments", {}))}]}
    except Exception as error:
        return {"isError": True, "content": [{"type": "text", "text": repr(error)}]}


def result(method, params):
    if method == "initialize":
        server = {"name": NAME, "version": VERSION}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return call(params)
    return None


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer = result(message["method"], message.get("params"))
        outcome = {"error": {"code": -32601, "message": "no such method"}} if answer is None else {"result": answer}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)
