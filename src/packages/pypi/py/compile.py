# Compiles a tree so that two compilations give the same bytes. Runs as `python -s -S -B -W ignore -c` with a fixed hash seed.
# Arguments: the root, then directories relative to it. What an interpreter has seen before changes what it writes, so the files
# of a directory are compiled in a process of their own, forked from the same state: neither its neighbours nor the number of
# processors matter. A file that does not compile is left as it is; one that ends the interpreter takes no other with it.
import sys

sys.path = [entry for entry in sys.path if entry]
import gc
import os
import py_compile

root, below = sys.argv[1], sys.argv[2:]
os.chdir(root)
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
at_once = max(1, len(os.sched_getaffinity(0)))
todo = []
for top in below:
    for directory, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        names = [os.path.join(directory, name) for name in sorted(files) if name.endswith(".py")]
        names = [name for name in names if not os.path.islink(name)]
        if names:
            todo.append(names)
running = {}


def start(names):
    child = os.fork()
    if child:
        running[child] = names
        return
    for name in names:
        try:
            py_compile.compile(name, dfile=name, doraise=True, invalidation_mode=mode)
        except BaseException as error:
            # A full disk is no fault of the file.
            if isinstance(error, OSError):
                sys.stderr.write("%s\n" % error)
                sys.stderr.flush()
                os._exit(1)
    os._exit(0)


gc.freeze()
todo.reverse()
while todo or running:
    if todo and len(running) < at_once:
        start(todo.pop())
        continue
    child, status = os.wait()
    names = running.pop(child, [])
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(1)
    if os.WIFSIGNALED(status) and len(names) > 1:
        todo.extend([name] for name in reversed(names))
