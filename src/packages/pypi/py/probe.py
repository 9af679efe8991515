# What an interpreter is. Runs as `python -I -B -c`; prints one line of JSON.
import json
import os
import sys
import sysconfig

names = sysconfig.get_scheme_names()
scheme = "venv" if "venv" in names else "posix_prefix"
here = {"base": "", "platbase": "", "installed_base": "", "installed_platbase": ""}
pip = None
try:
    import pip as found

    runner = os.path.join(os.path.dirname(os.path.abspath(found.__file__)), "__pip-runner__.py")
    pip = {"version": found.__version__, "runner": runner if os.path.isfile(runner) else None}
except Exception:
    pass
print(
    json.dumps(
        {
            "base": getattr(sys, "_base_executable", None) or sys.executable,
            "prefix": sys.base_prefix,
            "version": list(sys.version_info[:3]),
            "full": "%d.%d.%d" % sys.version_info[:3],
            "implementation": sys.implementation.name,
            "platlib": getattr(sys, "platlibdir", "lib"),
            "purelib": sysconfig.get_path("purelib", scheme, here).lstrip("/"),
            "pip": pip,
        }
    )
)
