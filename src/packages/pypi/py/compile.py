# Compiles a tree so that two compilations give the same bytes. Runs as `python -s -S -B -W ignore -c` with a fixed hash seed.
# Arguments: the root, then directories relative to it. What the interpreter has seen before changes what it writes, so each
# file has a process of its own, forked from the same state. A file that does not compile is left as it is.
import sys

sys.path = [entry for entry in sys.path if entry]
import gc
import os
import py_compile

root, below = sys.argv[1], sys.argv[2:]
os.chdir(root)
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
at_once = max(1, len(os.sched_getaffinity(0)))
names = []
for top in below:
    for directory, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        names.extend(os.path.join(directory, name) for name in sorted(files) if name.endswith(".py"))
names = [name for name in names if not os.path.islink(name)]
running, failed = 0, 0


def ended():
    return 1 if os.wait()[1] else 0


gc.freeze()
for name in names:
    if running == at_once:
        failed += ended()
        running -= 1
    if os.fork() == 0:
        status = 1
        try:
            py_compile.compile(name, dfile=name, doraise=True, invalidation_mode=mode)
            status = 0
        except BaseException:
            pass
        finally:
            os._exit(status)
    running += 1
while running:
    failed += ended()
    running -= 1
print("%d %d" % (len(names), failed))
