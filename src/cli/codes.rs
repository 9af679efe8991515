//! What each code means, and what to do about it: `mcpjail help CODE`.

/// Every code that an error can carry, with what it means and what to do. `tests/docs.rs` compares it with the source.
pub(super) const CODES: &[(&str, &str)] = &[
    (
        "cannot-execute",
        "The program was found but the kernel refused to execute it inside the jail. Mostly a library or \
      an interpreter that lies outside what the jail shows: `mcpjail explain` lists that, `--exec PATH` adds to it.",
    ),
    (
        "cannot-make-directory",
        "A directory of mcpjail's own (a persistent home, a private temporary directory) cannot be \
      made. Look at who owns its parent, and at the free space.",
    ),
    (
        "catalog-changed",
        "What the server says of itself is not what was approved, or another program is launched than the one \
      that was approved. The host has seen nothing of it. `mcpjail approve` shows each difference and asks; \
      where you did not expect one, look at what was updated, and at where the server comes from.",
    ),
    (
        "catalog-malformed",
        "What the server lists cannot be pinned: not JSON as RFC 8259 has it, one name twice, an entry without \
      a name, a number that readers take for different values, cursors that lead in a circle. What cannot be \
      told apart cannot be approved: this is the server's to repair.",
    ),
    (
        "catalog-timeout",
        "The server did not answer the handshake or a list in time. `timeout` under `[gate]` in the profile \
      says how long is waited, 30 seconds by default.",
    ),
    (
        "catalog-too-large",
        "The server lists more than any server needs, or never stops: pages, entries and bytes have bounds, so \
      that no server can fill the memory before it is known.",
    ),
    (
        "contents-replaced",
        "`mcpjail update --yes` met a package that has other contents under the version that runs now. No registry \
      should serve that: somebody replaced what was published, or another registry is asked. Without `--yes` it is \
      shown and asked about; `--accept-findings` says that somebody has looked into it.",
    ),
    (
        "disk-full",
        "The disk ran full while a package was installed or the store written. Nothing of it is kept: free some \
      space, or let `mcpjail store gc` remove what no server needs, and type the command again.",
    ),
    (
        "egress-log",
        "The file of `--egress-log` cannot be opened, is something else than a file, or lies where the server may write: \
      it could strike out what it did.",
    ),
    (
        "egress-needs-tier-a",
        "The profile grants connections, and this run has no network namespace. Without one the kernel has no \
      place where every other connection ends, and nothing could hold the server to names: Landlock knows ports, not \
      addresses. `mcpjail doctor` says what tier A needs here.",
    ),
    ("gate-io", "A thread or a file of the gate's own failed."),
    (
        "grave-findings",
        "`mcpjail approve --yes` would have approved, unread, what the inspectors find grave. Approve without \
      `--yes`, item by item, or, once somebody has read the findings, with `--accept-findings`.",
    ),
    (
        "handshake-refused",
        "The server answers both kinds of handshake, `initialize` and `server/discover`, with an error. It may \
      want something that mcpjail does not offer, or speak a revision that neither knows.",
    ),
    (
        "idle-island",
        "A `deny-write` line lies in no writable grant, so it protects nothing. Nothing is ignored in \
      silence: drop the line or grant its parent for writing.",
    ),
    ("io", "A read or write of mcpjail's own failed."),
    ("island-needs-tier-a", "A read-only island in a writable grant is a mount, and tier B has none."),
    ("jail-launcher", "The launcher could not do its part (memory, descriptors, starting itself again)."),
    (
        "install-escape",
        "Something that was installed tried to lead the installer out of its jail: a symbolic link, a pipe or a socket in \
      the place of a directory that the next step works in. Nothing was followed, nothing is left behind. Report the \
      package, and do not use it.",
    ),
    (
        "install-failed",
        "The installer failed for a reason that mcpjail has no name for, or took too long. The end of what it \
      said stands above. The same command outside of mcpjail, with install scripts off, tells whether the \
      package can be installed at all.",
    ),
    (
        "install-malformed",
        "What the installer left behind is not what it should be: a lock that cannot be read, a program that \
      leads out of the package. That is the package's or the installer's fault; nothing of it is kept.",
    ),
    (
        "install-script-failed",
        "An install script that `--allow-scripts` named ended with an error. It ran in a jail without the \
      registry and without your home directory: what it wanted to download has to be named by `--install-net`, \
      and compilers have to be installed on this machine.",
    ),
    (
        "integrity-mismatch",
        "An archive is not the one that the registry's own metadata or the kept lock names by its hash. Either it \
      was damaged on the way or it was replaced. Nothing of it is kept. Try again once; if it stays so, do not \
      install it, and tell whoever runs the registry.",
    ),
    (
        "jail-layer",
        "A layer of the jail could not be built, or the proof that runs in the server's own process right \
      before it starts found it open. The server was not started. `mcpjail doctor` tries each layer.",
    ),
    ("jail-vanished", "The process that builds the jail ended without a word: it was killed, or ran out of memory."),
    (
        "local-package",
        "Code on this machine cannot be copied into the store as it is: it lies in several places, is an editable \
      install, or has links that lead out of it. A profile with `command`, or `mcpjail run -- COMMAND`, runs \
      it where it lies.",
    ),
    (
        "lock-invalid",
        "The lock is not as `mcpjail approve` writes it: edited by hand, cut off, or merged from two versions. \
      The message names line and column. Take the file back from version control, or approve again.",
    ),
    ("lock-newer", "The lock was written by a later version of mcpjail, which knows what this one does not."),
    (
        "lock-raced",
        "While you were asked, the lock was written by somebody else: another `mcpjail approve`, or a checkout. \
      Nothing was overwritten.",
    ),
    (
        "lock-unreadable",
        "The lock is there and cannot be read or written, or somebody else could have written it: a link, a \
      directory, another owner, a mode that lets others write.",
    ),
    (
        "lock-writable",
        "The lock that `--lock` names lies where the server may write: it could approve itself. Keep the lock \
      elsewhere, or in a directory of its own that `--deny-write` makes read-only.",
    ),
    ("message-too-large", "One side sent a line above the limit of 64 MiB; the session was ended."),
    (
        "nameless-home",
        "`home = \"persistent\"` keeps a directory per server, so the server needs a name: put the profile \
      into servers/NAME.toml.",
    ),
    (
        "no-auditor",
        "`mcpjail audit` asks the ecosystem's own auditor: npm for packages of npm, `pip-audit` or a uv that knows \
      `uv audit` for those of a Python index. There is none on PATH, or the server is code of this machine, which no \
      database knows.",
    ),
    (
        "no-entry-point",
        "The package has no program that could be started, several of which none has the package's name, or not \
      the one that was asked for. `npx -p PACKAGE PROGRAM` and `uvx --from PACKAGE PROGRAM` name one.",
    ),
    (
        "no-fitting-release",
        "The registry has the package, but no version of it fits this machine: another version of Python or Node, \
      another system or processor, or only source code where a built package is needed. `--allow-scripts \
      PACKAGE` builds a Python package from its source.",
    ),
    (
        "no-installer",
        "The package is installed by the ecosystem's own installer (npm; uv or pip), which is not on this machine \
      or not on `PATH`.",
    ),
    (
        "no-landlock",
        "Every tier needs Landlock: Linux 5.13 or newer with `landlock` among its LSMs \
      (`lsm=landlock,…` on the kernel's command line, or CONFIG_LSM).",
    ),
    ("no-such-profile", "`mcpjail profiles` lists the built-in profiles; your own are files below ~/.config/mcpjail."),
    ("no-such-topic", "`mcpjail help` knows subcommands and error codes."),
    (
        "no-such-package",
        "The registry has no package of that name. Look at how it is written; a private registry has to be named \
      in `~/.npmrc`, `uv.toml` or `pip.conf`.",
    ),
    (
        "no-such-script",
        "`--allow-scripts` names a package that is not among those that are installed, or that has no install \
      script.",
    ),
    (
        "no-such-version",
        "The registry has the package, but not that version of it, or no version in that range. Where the message says \
      that one package needs another, it is the other one that is missing: every version of the first that asks for it \
      fails in the same way.",
    ),
    (
        "no-terminal",
        "`mcpjail approve` asks, item by item, and there is nobody to ask: its input or output is no terminal. \
      `--yes` approves everything unread; `mcpjail check` is for where nobody sits.",
    ),
    ("no-working-directory", "The directory mcpjail was started in was deleted or cannot be reached."),
    (
        "not-approved",
        "Nothing is known of what this server says of itself, so nothing of it reaches the host. `mcpjail \
      approve` walks it in its jail, shows everything and asks. `first-use = \"trust\"` under `[gate]` in \
      the profile, or `--trust-first-use`, approves what is seen first, unread.",
    ),
    ("nothing-approved", "The approval was stopped, or every item was answered with no. Nothing was written."),
    (
        "not-cached",
        "With `--offline` nothing is fetched, and something of the package was never downloaded, or the downloads \
      were deleted. Leave `--offline` away.",
    ),
    (
        "nothing-before",
        "`--rollback` goes back to what ran before the last update, and there is no such thing: the server was \
      never updated, or what was approved of it then is gone.",
    ),
    (
        "nothing-to-check",
        "`mcpjail check` without a name or a command checks every server that has a profile, and none has one. \
      In CI, where there are no profiles, give the lock and the command: `mcpjail check --lock FILE -- \
      COMMAND`.",
    ),
    ("nul-byte", "A path, argument or variable holds a NUL byte, which no program can be given."),
    ("one-server", "The option or the arguments belong to one server, and more are named."),
    (
        "package-entry",
        "What the store knows of a package names a file to start that is not in the package: not there, a link that leads \
      out, a script that names an interpreter of its own choosing. A package starts what lies in its own tree, by the \
      machine's interpreter. `mcpjail check --deep` verifies the tree.",
    ),
    (
        "package-mismatch",
        "The profile's `package` is not the one that is installed under the server's name: one of the two was changed \
      without the other. What runs is what was installed and approved, under exactly the name that the profile says.",
    ),
    (
        "package-not-installed",
        "The profile's `package` is not installed: nothing was added under the server's name on this machine, or it was \
      removed. Nothing is fetched when a server starts.",
    ),
    (
        "package-writable",
        "A writable grant holds the package that the server runs from, so that the server could replace its own code. Grant \
      a narrower directory, or keep mcpjail's data read-only with `--deny-write`.",
    ),
    ("relay-io", "Reading or writing one of the session's streams failed."),
    ("server-closed", "The server closed one of its streams while the host still used it."),
    (
        "package-line",
        "The words after `--` are no package that can be installed into the store: from git, from a URL, by a \
      runner that needs a network at each start. The message says what can be typed instead.",
    ),
    (
        "registry-denied",
        "The registry wants credentials, or refuses those that it got. They belong where the installer looks for \
      them: `~/.npmrc`, `uv.toml`, `~/.netrc`, or variables that these name.",
    ),
    (
        "registry-unreachable",
        "The registry did not answer, or the install jail refused the way to it. The jail reaches the hosts of \
      your registry configuration only; `--install-net HOST:PORT` adds one, such as the host that a registry \
      keeps its archives on.",
    ),
    (
        "reinstall-differs",
        "The same release was installed from the same lock, and the files came out different: an install script \
      that does not do the same thing twice, another Python or Node, or a registry that replaced something. \
      `mcpjail update NAME VERSION` with the same version shows what differs and asks.",
    ),
    (
        "server-crashed",
        "The server was ended by a signal. SIGKILL mostly means a limit, SIGSYS a system call of a foreign \
      architecture. Its own messages are on stderr.",
    ),
    (
        "server-ended",
        "The server ended before its catalog was read. Its own messages are on stderr, its exit code is told \
      beside.",
    ),
    ("server-exited", "The server exited while the host was still connected. Its own messages are on stderr."),
    (
        "server-exists",
        "There is a profile of that name already. `mcpjail update` installs another version of its package, \
      `mcpjail remove` takes it away; or choose another name.",
    ),
    (
        "sockets-unknown",
        "Before Landlock ABI 9 the sockets in granted directories are covered one by one, and the kernel's list of \
      them, /proc/net/unix, cannot be read. Nothing is started with a door left open unseen.",
    ),
    (
        "store-busy",
        "Another mcpjail adds, updates or removes the same server, or collects garbage. Wait for it, and type the \
      command again.",
    ),
    (
        "store-missing",
        "A server's package is not in the store any more. `mcpjail update NAME --reinstall` installs the same \
      release again.",
    ),
    (
        "store-record",
        "What the store knows of a server cannot be read, or could have been written by somebody else. It is \
      never made anew by itself: look at the file, or remove the server and add it again.",
    ),
    (
        "store-tampered",
        "Something in the store is not what was added: the message names the first path that differs. The server \
      was not started. Programs outside of the jail with your rights can write there; find out which did. \
      `mcpjail update NAME --reinstall` installs the same release again.",
    ),
    (
        "store-unfit",
        "The package holds something that cannot be kept: a device, a socket, a set-user-id program, a link that \
      leads out of it.",
    ),
    (
        "suspicious-name",
        "The package's name is nearly that of a well-known server, which is how packages of strangers get \
      installed by a slip of the finger. Look at where you have the name from. If it is the one that you mean, \
      say so when asked, or with `--accept-findings`.",
    ),
    (
        "tier-not-available",
        "This machine gives no user namespaces to this user: Ubuntu's AppArmor restriction, a \
      container's seccomp profile, or user.max_user_namespaces = 0. `mcpjail doctor` says which, and what to do.",
    ),
    (
        "too-many-sockets",
        "Before Landlock ABI 9 each socket in a granted directory is covered by a mount, and there are more than \
      256. Grant a smaller directory than the one that the message names.",
    ),
    (
        "too-many-ports",
        "Each granted port is a listener in the jail, and a profile may have 256 of them, all its layers together. \
      Grant the ports that the server uses.",
    ),
    ("unknown-syscall", "`[jail.syscalls] allow` takes one of the optional groups or a call out of one."),
    (
        "unpinned-dependency",
        "The package, or one that it depends on, comes from git, a URL or a directory: no hash pins what is \
      behind that tomorrow. Ask its author for a release in a registry.",
    ),
];

/// Codes that stand only in JSON-RPC answers, under `error.data.mcpjail.code`: the session goes on.
pub(super) const ANSWERS: &[(&str, &str)] = &[
    (
        "bad-message",
        "A message is not JSON-RPC as the specification has it: not strict JSON, a key twice, a key that only \
      looks like one of the protocol's, an id of the wrong kind. Nobody can say what it means, so it is not \
      passed on. The answer's text says what is wrong.",
    ),
    (
        "legacy-server",
        "The host spoke the revision 2026-07-28 to a server that knows only revisions with a handshake. Hosts \
      fall back to `initialize` by themselves.",
    ),
    (
        "no-handshake",
        "The host asked for something before the handshake. No server may answer that, and this one might.",
    ),
    ("no-host", "The server asked something of its client while mcpjail was walking its lists, and no host is there."),
    (
        "not-approved-item",
        "The host asked for a tool, a prompt or a resource that is not among those that were approved. It never \
      reached the server.",
    ),
];
