//! Where in an interpreter's arguments the server begins.
//!
//! An option that takes its value as the next word must be known, or its value is taken for the script; every other
//! option can be passed over.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::runtime::Flavor;

/// What the arguments of an interpreter say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Index of the script.
    pub(super) script: Option<usize>,
    /// Index of the first argument of the server.
    pub(super) rest: usize,
    /// Files that options name: index of the word, offset of the path in it.
    pub(super) files: Vec<(usize, usize)>,
    /// `python -m NAME`.
    pub(super) module: Option<OsString>,
    /// Bare package names that Node loads first (`--import tsx`).
    pub(super) packages: Vec<OsString>,
    /// Whether an unknown option may have taken the script's place.
    pub(super) doubtful: bool,
}

/// The options of one interpreter that matter.
struct Options {
    /// Take the next word.
    valued: &'static [&'static str],
    /// Take the next word (or `=WORD`), which names a file or, for Node, a package.
    files: &'static [&'static str],
    /// Take the next word, which is the program's text.
    code: &'static [&'static str],
    /// Words before the script that are no script.
    commands: &'static [&'static str],
    /// Options of one letter may be written with their value in one word: `-Idir`.
    attached: bool,
}

const NODE: Options = Options {
    valued: &[
        "-C",
        "--build-snapshot-config",
        "--conditions",
        "--cpu-prof-dir",
        "--cpu-prof-interval",
        "--cpu-prof-name",
        "--diagnostic-dir",
        "--disable-proto",
        "--disable-warning",
        "--dns-result-order",
        "--experimental-default-type",
        "--experimental-sea-config",
        "--heap-prof-dir",
        "--heap-prof-interval",
        "--heap-prof-name",
        "--heapsnapshot-near-heap-limit",
        "--heapsnapshot-signal",
        "--icu-data-dir",
        "--input-type",
        "--inspect-port",
        "--debug-port",
        "--localstorage-file",
        "--max-http-header-size",
        "--network-family-autoselection-attempt-timeout",
        "--redirect-warnings",
        "--report-dir",
        "--report-directory",
        "--report-filename",
        "--report-signal",
        "--run",
        "--secure-heap",
        "--secure-heap-min",
        "--stack-trace-limit",
        "--test-name-pattern",
        "--test-reporter",
        "--test-reporter-destination",
        "--title",
        "--tls-cipher-list",
        "--tls-keylog",
        "--trace-event-categories",
        "--trace-event-file-pattern",
        "--trace-require-module",
        "--unhandled-rejections",
        "--v8-pool-size",
        "--watch-path",
    ],
    files: &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "--env-file",
        "--env-file-if-exists",
        "--openssl-config",
        "--snapshot-blob",
    ],
    code: &["-e", "--eval", "-p", "--print", "-pe"],
    commands: &["inspect", "debug"],
    attached: false,
};

const BUN: Options = Options {
    valued: &["--cwd", "-d", "--define", "--port", "--conditions", "--filter", "-F", "--shell", "--jsx-runtime"],
    files: &["-r", "--preload", "--require", "--import", "--env-file", "--tsconfig-override"],
    code: &["-e", "--eval", "-p", "--print"],
    commands: &["run"],
    attached: false,
};

const DENO: Options = Options {
    valued: &["--location", "--seed", "-L", "--log-level", "--host", "--port", "--ext", "--conditions"],
    files: &["-c", "--config", "--import-map", "--cert", "--lock", "--env-file", "--preload", "--require"],
    code: &[],
    commands: &["run", "serve"],
    attached: false,
};

const JAVA: Options = Options {
    valued: &["-p", "--module-path", "--add-modules", "--add-opens", "--add-exports", "--add-reads", "--source"],
    files: &[],
    code: &[],
    commands: &[],
    attached: false,
};

const DOTNET: Options = Options {
    valued: &["--additionalprobingpath", "--fx-version", "--roll-forward"],
    files: &["--additional-deps", "--depsfile", "--runtimeconfig"],
    code: &[],
    commands: &["exec"],
    attached: false,
};

const RUBY: Options = Options {
    valued: &["-I", "-r", "-C", "-E", "-K", "--encoding", "--external-encoding", "--internal-encoding"],
    files: &[],
    code: &["-e"],
    commands: &[],
    attached: true,
};

const PERL: Options = Options { valued: &["-I"], files: &[], code: &["-e", "-E"], commands: &[], attached: true };

const PHP: Options =
    Options { valued: &["-d", "-z"], files: &["-c", "-f"], code: &["-r"], commands: &[], attached: true };

const LUA: Options = Options { valued: &["-l"], files: &[], code: &["-e"], commands: &[], attached: true };

const SHELL: Options = Options {
    valued: &["-o", "-O", "+o", "+O"],
    files: &["--rcfile", "--init-file"],
    code: &[],
    commands: &[],
    attached: false,
};

/// Reads the arguments of an interpreter. `argv[0]` is its name.
pub(super) fn entry(flavor: Flavor, argv: &[OsString]) -> Entry {
    match flavor {
        Flavor::Binary => Entry { rest: 1, ..Entry::default() },
        Flavor::Python => python(argv),
        Flavor::Shell => shell(argv),
        Flavor::Java => java(argv),
        Flavor::Node => scan(&NODE, argv, true),
        Flavor::Bun => scan(&BUN, argv, true),
        Flavor::Deno => scan(&DENO, argv, false),
        Flavor::Dotnet => {
            let entry = scan(&DOTNET, argv, false);
            let code = entry.script.and_then(|at| argv.get(at)).is_some_and(|word| word.as_bytes().ends_with(b".dll"));
            // `dotnet run`, `dotnet tool` and the like are no server's code.
            if code { entry } else { Entry { script: None, doubtful: true, ..entry } }
        }
        Flavor::Ruby => scan(&RUBY, argv, false),
        Flavor::Perl => scan(&PERL, argv, false),
        Flavor::Php => scan(&PHP, argv, false),
        Flavor::Lua => scan(&LUA, argv, false),
    }
}

/// An option and the value that follows it after `=`: name, offset of the value in the word.
fn split_option(word: &OsStr) -> (&[u8], Option<usize>) {
    let bytes = word.as_bytes();
    match bytes.iter().position(|b| *b == b'=').filter(|_| bytes.starts_with(b"--")) {
        Some(at) => (bytes.get(..at).unwrap_or_default(), Some(at + 1)),
        None => (bytes, None),
    }
}

fn is_in(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|known| known.as_bytes() == name)
}

fn scan(options: &Options, argv: &[OsString], packages: bool) -> Entry {
    let mut entry = Entry::default();
    let mut code = false;
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        let bytes = word.as_bytes();
        if bytes == b"-" {
            at += 1;
            break;
        }
        if bytes == b"--" {
            at += 1;
            if !code && argv.get(at).is_some() {
                entry.script = Some(at);
                at += 1;
            }
            break;
        }
        if !bytes.starts_with(b"-") {
            if code {
                break;
            }
            if is_in(options.commands, bytes) && entry.script.is_none() {
                at += 1;
                continue;
            }
            entry.script = Some(at);
            at += 1;
            break;
        }
        let (name, value) = split_option(word);
        let attached = options.attached && bytes.len() > 2 && !bytes.starts_with(b"--");
        let short = bytes.get(..2).filter(|_| attached);
        if is_in(options.code, name) || short.is_some_and(|short| is_in(options.code, short)) {
            code = true;
            at += if value.is_some() || (attached && !is_in(options.code, name)) { 1 } else { 2 };
        } else if is_in(options.files, name) {
            let place = value.map_or((at + 1, 0), |offset| (at, offset));
            named_file(&mut entry, argv, place, packages);
            at += if value.is_some() { 1 } else { 2 };
        } else if is_in(options.valued, name) {
            at += if value.is_some() { 1 } else { 2 };
        } else {
            entry.doubtful |= value.is_none() && !short.is_some_and(|short| is_in(options.valued, short));
            at += 1;
        }
    }
    entry.rest = at.min(argv.len());
    entry
}

/// Records the file that an option names, or the package where it is no path.
fn named_file(entry: &mut Entry, argv: &[OsString], place: (usize, usize), packages: bool) {
    let Some(path) = argv.get(place.0).and_then(|word| word.as_bytes().get(place.1..)) else { return };
    let relative = path.starts_with(b"./") || path.starts_with(b"../");
    let bare = !relative && !path.starts_with(b"/") && !path.starts_with(b"file:");
    let option = argv.get(place.0 - usize::from(place.1 == 0)).map(|word| split_option(word).0);
    let loads_packages = option.is_some_and(|name| {
        is_in(&["-r", "--require", "--import", "--loader", "--experimental-loader", "--preload"], name)
    });
    if packages && bare && loads_packages {
        entry.packages.push(OsStr::from_bytes(path).to_os_string());
    } else {
        entry.files.push(place);
    }
}

/// CPython's command line: clusters of letters, of which `c` and `m` end the options.
fn python(argv: &[OsString]) -> Entry {
    let mut entry = Entry::default();
    let mut at = 1;
    'words: while let Some(word) = argv.get(at) {
        let bytes = word.as_bytes();
        at += 1;
        if bytes == b"-" {
            break;
        }
        if bytes == b"--" || !bytes.starts_with(b"-") {
            at -= usize::from(bytes != b"--");
            entry.script = argv.get(at).map(|_| at);
            at += 1;
            break;
        }
        if bytes.starts_with(b"--") {
            at += usize::from(bytes == b"--check-hash-based-pycs");
            continue;
        }
        let mut rest = bytes.get(1..).unwrap_or_default();
        while let Some((letter, tail)) = rest.split_first() {
            match letter {
                b'c' => {
                    at += usize::from(tail.is_empty());
                    break 'words;
                }
                b'm' => {
                    let attached = (!tail.is_empty()).then(|| OsStr::from_bytes(tail).to_os_string());
                    at += usize::from(attached.is_none());
                    entry.module = attached.or_else(|| argv.get(at - 1).cloned());
                    break 'words;
                }
                b'W' | b'X' => {
                    at += usize::from(tail.is_empty());
                    break;
                }
                _ => rest = tail,
            }
        }
    }
    entry.rest = at.min(argv.len());
    entry
}

/// POSIX shells: `-c` may be in a cluster (`-lc`); its text is the first word after the options.
fn shell(argv: &[OsString]) -> Entry {
    let mut entry = Entry::default();
    let mut command = false;
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        let bytes = word.as_bytes();
        if bytes == b"--" || bytes == b"-" {
            at += 1;
            break;
        }
        if !bytes.starts_with(b"-") && !bytes.starts_with(b"+") {
            break;
        }
        let (name, value) = split_option(word);
        if is_in(SHELL.files, name) && value.is_none() {
            entry.files.push((at + 1, 0));
            at += 1;
        } else if !bytes.starts_with(b"--") {
            command |= bytes.starts_with(b"-") && bytes.contains(&b'c');
            at += usize::from(matches!(bytes.last(), Some(b'o' | b'O')));
        }
        at += 1;
    }
    if let Some(word) = argv.get(at).filter(|_| !command) {
        entry.script = Some(at);
        // Shells search PATH for a script that is not in the current directory.
        entry.doubtful = !word.as_bytes().contains(&b'/');
    }
    entry.rest = (at + 1).min(argv.len());
    entry
}

/// `-jar FILE`, or a class path and a class.
fn java(argv: &[OsString]) -> Entry {
    let mut entry = Entry::default();
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        let bytes = word.as_bytes();
        if bytes == b"-jar" {
            entry.script = argv.get(at + 1).map(|_| at + 1);
            at += 2;
            break;
        }
        if matches!(bytes, b"-cp" | b"-classpath" | b"--class-path") {
            entry.files.push((at + 1, 0));
            at += 2;
        } else if matches!(bytes, b"-m" | b"--module") {
            at += 2;
            break;
        } else if bytes.starts_with(b"-") || bytes.starts_with(b"@") {
            let (name, value) = split_option(word);
            at += if is_in(JAVA.valued, name) && value.is_none() { 2 } else { 1 };
        } else {
            at += 1;
            break;
        }
    }
    entry.rest = at.min(argv.len());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flavor: Flavor, line: &str) -> (Option<String>, Vec<String>, Entry) {
        let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let entry = entry(flavor, &argv);
        let text = |word: &OsString| word.to_str().unwrap().to_owned();
        (entry.script.map(|at| text(&argv[at])), argv[entry.rest..].iter().map(text).collect(), entry)
    }

    #[track_caller]
    fn check(flavor: Flavor, line: &str, script: Option<&str>, rest: &str) {
        let (got, args, _) = read(flavor, line);
        assert_eq!(got.as_deref(), script, "{line}");
        assert_eq!(args.join(" "), rest, "{line}");
    }

    #[test]
    fn node() {
        check(Flavor::Node, "node x.js a b", Some("x.js"), "a b");
        check(Flavor::Node, "node --inspect --max-old-space-size=99 x.js -r y", Some("x.js"), "-r y");
        check(Flavor::Node, "node -r ./p.js --import=./q.mjs x.js a", Some("x.js"), "a");
        check(Flavor::Node, "node -e code a b", None, "a b");
        check(Flavor::Node, "node --eval=code --no-warnings a", None, "a");
        check(Flavor::Node, "node -- -x.js a", Some("-x.js"), "a");
        check(Flavor::Node, "node - a", None, "a");
        check(Flavor::Node, "node --env-file .env x.js", Some("x.js"), "");
        check(Flavor::Node, "node", None, "");
        check(Flavor::Node, "node -r", None, "");
        let (_, _, entry) = read(Flavor::Node, "node -r ./p.js --import=tsx --env-file=.env --loader ts-node/esm x.ts");
        assert_eq!(entry.files, [(2, 0), (4, 11)]);
        assert_eq!(entry.packages, ["tsx", "ts-node/esm"]);
    }

    #[test]
    fn bun_and_deno() {
        check(Flavor::Bun, "bun run x.ts a", Some("x.ts"), "a");
        check(Flavor::Bun, "bun x.ts", Some("x.ts"), "");
        check(Flavor::Bun, "bun --cwd /p run x.ts", Some("x.ts"), "");
        check(Flavor::Deno, "deno run -A --allow-net=x main.ts a", Some("main.ts"), "a");
    }

    #[test]
    fn python() {
        check(Flavor::Python, "python x.py a", Some("x.py"), "a");
        check(Flavor::Python, "python -u -X utf8 -W ignore x.py -c", Some("x.py"), "-c");
        check(Flavor::Python, "python -Wignore -Xdev x.py", Some("x.py"), "");
        check(Flavor::Python, "python -c code a", None, "a");
        check(Flavor::Python, "python -ccode a", None, "a");
        check(Flavor::Python, "python -Im mod a b", None, "a b");
        check(Flavor::Python, "python -mmod a", None, "a");
        check(Flavor::Python, "python -", None, "");
        check(Flavor::Python, "python -- x.py a", Some("x.py"), "a");
        check(Flavor::Python, "python -m", None, "");
        check(Flavor::Python, "python --check-hash-based-pycs always x.py", Some("x.py"), "");
        assert_eq!(read(Flavor::Python, "python -Im a.b c").2.module, Some("a.b".into()));
        assert_eq!(read(Flavor::Python, "python -uma.b").2.module, Some("a.b".into()));
        assert_eq!(read(Flavor::Python, "python -m").2.module, None);
    }

    #[test]
    fn others() {
        check(Flavor::Shell, "sh -c code a b", None, "a b");
        check(Flavor::Shell, "bash -lc code", None, "");
        check(Flavor::Shell, "bash -eu -o pipefail x.sh a", Some("x.sh"), "a");
        check(Flavor::Shell, "bash -euo pipefail -c code a", None, "a");
        check(Flavor::Java, "java -Xmx1g -cp a:b -jar s.jar x", Some("s.jar"), "x");
        check(Flavor::Java, "java -cp a:b Main x", None, "x");
        check(Flavor::Dotnet, "dotnet s.dll a", Some("s.dll"), "a");
        check(Flavor::Dotnet, "dotnet run", None, "");
        check(Flavor::Ruby, "ruby -Ilib s.rb a", Some("s.rb"), "a");
        check(Flavor::Perl, "perl -e code a", None, "a");
        check(Flavor::Php, "php -d a=b s.php x", Some("s.php"), "x");
        check(Flavor::Binary, "tool -x a", None, "-x a");
    }
}
