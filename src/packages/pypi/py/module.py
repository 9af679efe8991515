# Which installed distribution `python -m MODULE` runs. Nothing of it is imported. Prints one line of JSON.
import json
import sys

from importlib import metadata

path = sys.argv[1].replace(".", "/")
wanted = (path + ".py", path + "/__main__.py", path + "/__init__.py")
found = []
for distribution in metadata.distributions():
    text = distribution.read_text("direct_url.json")
    direct = json.loads(text) if text else None
    top = (distribution.read_text("top_level.txt") or "").split()
    names = {str(name) for name in distribution.files or ()}
    has = any(name in names for name in wanted)
    # An editable installation lists no file of its own.
    if not has and direct is not None and "dir_info" in direct:
        own = (distribution.metadata["Name"] or "").replace("-", "_").replace(".", "_").lower()
        has = path.split("/")[0] in top or own == path.split("/")[0].lower()
    if has:
        found.append({"name": distribution.metadata["Name"], "version": distribution.version, "direct": direct})
print(json.dumps(found))
