//! Whole resolutions over file trees that look like those of each manager, and a property that holds for all of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{CommandError, Context, Resolved, Runtime, resolve};
use crate::diagnose::Diagnose;

/// A machine in a temporary directory: `home/me`, `opt`, `bin`.
struct Machine {
    _temp: tempfile::TempDir,
    root: PathBuf,
    context: Context,
}

impl Machine {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        for dir in ["home/me/project", "bin", "opt"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let context = Context {
            cwd: root.join("home/me/project"),
            home: root.join("home/me"),
            path: root.join("bin").into_os_string(),
            env: BTreeMap::new(),
        };
        Self { _temp: temp, root, context }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn home(&self, path: &str) -> PathBuf {
        self.context.home.join(path)
    }

    fn text(&self, path: &str, text: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, path: &str, text: &str) -> PathBuf {
        let path = self.text(path, text);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    fn binary(&self, path: &str) -> PathBuf {
        self.script(path, "\x7fELF, or the beginning of it")
    }

    fn link(&self, target: impl AsRef<Path>, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, &path).unwrap();
        path
    }

    /// A directory of `PATH`, before all others.
    fn in_path(&mut self, dir: &str) {
        let mut path = self.at(dir).into_os_string();
        path.push(":");
        path.push(&self.context.path);
        self.context.path = path;
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.context.env.insert(name.into(), value.into());
    }

    fn node_at(&self, prefix: &str) -> PathBuf {
        fs::create_dir_all(self.at(prefix).join("lib/node_modules")).unwrap();
        self.binary(&format!("{prefix}/bin/node"))
    }

    fn python_at(&self, prefix: &str) -> PathBuf {
        self.text(&format!("{prefix}/lib/python3.12/os.py"), "");
        let real = self.binary(&format!("{prefix}/bin/python3.12"));
        self.link("python3.12", &format!("{prefix}/bin/python3"));
        self.link("python3.12", &format!("{prefix}/bin/python"));
        real
    }

    fn venv_at(&self, root: &str, base: &Path) -> PathBuf {
        let home = base.parent().unwrap().display().to_string();
        self.text(&format!("{root}/pyvenv.cfg"), &format!("home = {home}\ninclude-system-site-packages = false\n"));
        self.text(&format!("{root}/lib/python3.12/site-packages/x.py"), "");
        self.link(base, &format!("{root}/bin/python3"));
        self.link("python3", &format!("{root}/bin/python"))
    }

    fn try_run(&self, argv: &[&str]) -> Result<Resolved, CommandError> {
        let argv: Vec<OsString> = argv.iter().map(|word| self.expand(word)).collect();
        let resolved = resolve(&argv, &self.context)?;
        self.holds(&resolved);
        Ok(resolved)
    }

    /// `%` stands for the machine's root.
    fn expand(&self, word: &str) -> OsString {
        word.replace('%', self.root.to_str().unwrap()).into()
    }

    #[track_caller]
    fn run(&self, argv: &[&str]) -> Resolved {
        self.try_run(argv).unwrap()
    }

    #[track_caller]
    fn fails(&self, argv: &[&str], code: &str) -> CommandError {
        let error = self.try_run(argv).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        error
    }

    /// What is true of every resolution.
    fn holds(&self, resolved: &Resolved) {
        assert!(resolved.program.is_absolute());
        assert!(!resolved.argv.is_empty());
        for grant in &resolved.grants {
            let real = grant.path.canonicalize().unwrap();
            for home in [&self.context.home, &self.context.home.canonicalize().unwrap()] {
                assert!(!home.starts_with(&grant.path), "{}: {}", grant.path.display(), grant.reason);
                assert!(!home.starts_with(&real), "{}: {}", grant.path.display(), grant.reason);
            }
            assert!(grant.path.file_name().unwrap() != "shims", "{}", grant.path.display());
            assert!(!super::files::is_system(&real) || real.is_file());
        }
    }

    #[track_caller]
    fn grants(&self, resolved: &Resolved, expected: &[&str]) {
        let mut got: Vec<String> = resolved
            .grants
            .iter()
            .map(|grant| grant.path.strip_prefix(&self.root).unwrap_or(&grant.path).display().to_string())
            .collect();
        got.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(got, expected, "{:#?}", resolved.trail);
    }

    #[track_caller]
    fn argv(&self, resolved: &Resolved, expected: &[&str]) {
        let expected: Vec<OsString> = expected.iter().map(|word| self.expand(word)).collect();
        assert_eq!(resolved.argv, expected);
    }
}

fn words(list: &[OsString]) -> String {
    list.join(OsStr::new(" ")).into_string().unwrap()
}

// Programs and PATH

#[test]
fn a_plain_binary_gets_its_file_only() {
    let m = Machine::new();
    let tool = m.binary("home/me/.local/bin/tool");
    let got = m.run(&["%/home/me/.local/bin/tool", "-x", "a"]);
    assert_eq!((&got.program, got.runtime), (&tool, Runtime::Native));
    assert_eq!(words(&got.server_args), "-x a");
    m.grants(&got, &["home/me/.local/bin/tool"]);
}

#[test]
fn links_to_multi_call_binaries_keep_their_name() {
    let m = Machine::new();
    let real = m.binary("opt/box/multi");
    m.link(&real, "bin/tool");
    let got = m.run(&["tool", "a"]);
    assert_eq!(got.program, real);
    m.argv(&got, &["tool", "a"]);
    m.grants(&got, &["opt/box/multi"]);
}

#[test]
fn relative_names_are_looked_up_in_the_current_directory() {
    let m = Machine::new();
    m.binary("home/me/project/tool");
    assert_eq!(m.run(&["./tool"]).program, m.home("project/tool"));
    assert_eq!(m.run(&["../project/tool"]).program, m.home("project/tool"));
    m.fails(&["tool"], "command-not-found");
}

#[test]
fn system_programs_need_no_grant() {
    let m = Machine::new();
    let got = m.run(&["/bin/sh", "-c", "true", "a"]);
    m.grants(&got, &[]);
    assert_eq!((words(&got.server_args).as_str(), words(&got.argv).as_str()), ("a", "/bin/sh -c true a"));
    assert!(got.program.starts_with("/usr") || got.program.starts_with("/bin"));
    assert!(got.path_dirs.is_empty());
}

#[test]
fn what_cannot_be_executed_is_told_apart() {
    let m = Machine::new();
    m.text("bin/plain", "x");
    m.text("home/me/project/server.py", "x");
    m.script("bin/data", "MZ\0\0");
    m.script("bin/empty", "");
    m.link("b", "bin/a");
    m.link("a", "bin/b");
    m.link("absent", "bin/dangling");
    fs::create_dir(m.at("bin/dir")).unwrap();
    m.fails(&["plain"], "command-not-executable");
    let hint = m.fails(&["./server.py"], "command-not-executable").hint().unwrap();
    assert!(hint.contains("mcpjail run -- python3 "), "{hint}");
    m.fails(&["data"], "command-not-executable");
    m.fails(&["empty"], "command-not-executable");
    m.fails(&["%/bin/dir"], "command-is-directory");
    m.fails(&["dir"], "command-not-found");
    m.fails(&["a"], "command-not-found");
    m.fails(&["%/bin/a"], "command-unreadable");
    m.fails(&["%/bin/dangling"], "command-not-found");
    m.fails(&["%/bin/data/x"], "command-not-found");
    m.fails(&["/dev/null"], "command-not-executable");
    m.fails(&[], "command-missing");
    m.fails(&["", "x"], "command-missing");
}

#[test]
fn a_fifo_is_not_waited_for() {
    let m = Machine::new();
    let fifo = m.at("bin/fifo");
    let made = std::process::Command::new("mkfifo").arg("-m").arg("755").arg(&fifo).status().unwrap();
    assert!(made.success());
    m.fails(&["%/bin/fifo"], "command-not-executable");
    m.fails(&["fifo"], "command-not-found");
}

#[test]
fn misspelt_names_get_the_nearest() {
    let m = Machine::new();
    m.binary("bin/weather-server");
    let hint = m.fails(&["wether-server"], "command-not-found").hint();
    assert_eq!(hint.as_deref(), Some("did you mean `weather-server`?"));
    let hint = m.fails(&["%/bin/wether-server"], "command-not-found").hint().unwrap();
    assert!(hint.ends_with("bin/weather-server`?"), "{hint}");
}

#[test]
fn a_node_that_only_interactive_shells_see_is_pointed_to() {
    let m = Machine::new();
    m.node_at("home/me/.nvm/versions/node/v20.1.0");
    let hint = m.fails(&["node", "x.js"], "command-not-found").hint().unwrap();
    assert!(hint.contains(".nvm/versions/node/v20.1.0/bin/node"), "{hint}");
}

#[test]
fn names_that_are_not_utf8_work() {
    let m = Machine::new();
    let name = OsStr::from_bytes(b"serv\xffr");
    let path = m.at("bin").join(name);
    fs::write(&path, "\x7fELF").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(resolve(&[name.to_os_string()], &m.context).unwrap().program, path);
}

#[test]
fn a_text_without_a_first_line_is_the_shells() {
    let m = Machine::new();
    let script = m.script("bin/tool", "echo hello\n");
    let got = m.run(&["tool", "a"]);
    assert_eq!(got.argv, [OsString::from("/bin/sh"), script.into(), "a".into()]);
    assert_eq!(words(&got.server_args), "a");
}

#[test]
fn huge_files_are_not_read() {
    let m = Machine::new();
    let path = m.binary("bin/huge");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(m.run(&["huge"]).program, path);
}

// Node

#[test]
fn nvm_and_n_are_plain_prefixes() {
    let mut m = Machine::new();
    let node = m.node_at("home/me/.nvm/versions/node/v20.1.0");
    m.in_path("home/me/.nvm/versions/node/v20.1.0/bin");
    m.text("opt/server/package.json", "{}");
    m.text("opt/server/dist/index.js", "");
    let got = m.run(&["node", "%/opt/server/dist/index.js", "a", "-b"]);
    assert_eq!((&got.program, got.runtime), (&node, Runtime::Node));
    m.argv(&got, &["node", "%/opt/server/dist/index.js", "a", "-b"]);
    assert_eq!(words(&got.server_args), "a -b");
    assert_eq!(got.path_dirs, [m.home(".nvm/versions/node/v20.1.0/bin")]);
    m.grants(&got, &["home/me/.nvm/versions/node/v20.1.0", "opt/server"]);
}

#[test]
fn fnm_is_a_directory_of_links() {
    let mut m = Machine::new();
    let node = m.node_at("home/me/.local/share/fnm/node-versions/v22/installation");
    m.link(m.home(".local/share/fnm/node-versions/v22/installation"), "run/fnm_multishells/1_2");
    m.in_path("run/fnm_multishells/1_2/bin");
    let got = m.run(&["node", "-e", "0"]);
    assert_eq!(got.program, node);
    m.grants(&got, &["home/me/.local/share/fnm/node-versions/v22/installation"]);
}

#[test]
fn a_node_in_a_shared_prefix_gets_its_parts_only() {
    let mut m = Machine::new();
    m.node_at("home/me/.local");
    m.text("home/me/.local/share/keyrings/login", "secret");
    m.in_path("home/me/.local/bin");
    let got = m.run(&["node", "-e", "0"]);
    m.grants(&got, &["home/me/.local/bin/node", "home/me/.local/lib/node_modules"]);
}

#[test]
fn homebrew_shows_its_programs_and_nothing_beside() {
    let mut m = Machine::new();
    let node = m.node_at("brew/Cellar/node/22.1.0");
    m.link("../Cellar/node/22.1.0/bin/node", "brew/bin/node");
    m.link("../Cellar/node/22.1.0", "brew/opt/node");
    m.text("brew/var/db/secret", "");
    m.in_path("brew/bin");
    let got = m.run(&["node", "-e", "0"]);
    assert_eq!(got.program, node);
    m.grants(&got, &["brew/Cellar", "brew/opt"]);
}

#[test]
fn relative_scripts_become_absolute() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("home/me/project/package.json", "{}");
    m.text("home/me/project/build/index.js", "");
    for typed in ["build/index.js", "./build/index.js", "build/../build/index.js"] {
        m.argv(&m.run(&["node", typed, "./rel"]), &["node", "%/home/me/project/build/index.js", "./rel"]);
    }
    m.argv(&m.run(&["node", "build/index"]), &["node", "%/home/me/project/build/index"]);
    m.argv(&m.run(&["node", "build"]), &["node", "%/home/me/project/build"]);
    m.grants(&m.run(&["node", "build"]), &["bin/node", "home/me/project"]);
}

#[test]
fn absent_scripts_are_an_error_before_anything_starts() {
    let m = Machine::new();
    m.binary("bin/node");
    let error = m.fails(&["node", "--inspect=1", "nothing.js"], "script-not-found");
    assert!(error.to_string().contains("project/nothing.js"), "{error}");
    // An unknown option may have eaten the script.
    m.run(&["node", "--new-option", "value", "nothing.js"]);
}

#[test]
fn preloads_are_granted_and_made_absolute() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("opt/pre/package.json", "{}");
    m.text("opt/pre/hook.js", "");
    m.text("home/me/project/.env", "");
    m.text("home/me/project/package.json", "{}");
    m.text("home/me/project/x.js", "");
    m.text("home/me/project/node_modules/tsx/package.json", "{}");
    let got = m.run(&["node", "-r", "../../../opt/pre/hook.js", "--env-file=.env", "--import", "tsx", "x.js"]);
    m.argv(
        &got,
        &[
            "node",
            "-r",
            "%/opt/pre/hook.js",
            "--env-file=%/home/me/project/.env",
            "--import",
            "tsx",
            "%/home/me/project/x.js",
        ],
    );
    m.grants(&got, &["bin/node", "opt/pre", "home/me/project"]);
}

#[test]
fn a_script_in_the_home_gives_only_itself() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("home/me/server.js", "");
    m.text("home/me/package.json", "{}");
    m.text("home/me/Documents/package.json", "{}");
    m.text("home/me/Documents/server.js", "");
    m.grants(&m.run(&["node", "%/home/me/server.js"]), &["bin/node", "home/me/server.js"]);
    let got = m.run(&["node", "%/home/me/Documents/server.js"]);
    m.grants(&got, &["bin/node", "home/me/Documents/server.js"]);
    assert!(got.trail.iter().any(|line| line.contains("--read")), "{:?}", got.trail);
}

#[test]
fn directories_without_a_project_file_give_only_the_script() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("opt/loose/server.js", "");
    m.grants(&m.run(&["node", "%/opt/loose/server.js"]), &["bin/node", "opt/loose/server.js"]);
}

#[test]
fn the_home_under_another_name_is_still_the_home() {
    let mut m = Machine::new();
    m.binary("bin/node");
    m.text("home/me/package.json", "{}");
    m.text("home/me/server.js", "");
    m.link(m.at("home"), "users");
    m.grants(&m.run(&["node", "%/users/me/server.js"]), &["bin/node", "home/me/server.js"]);
    m.context.home = m.at("users/me");
    m.grants(&m.run(&["node", "%/home/me/server.js"]), &["bin/node", "home/me/server.js"]);
    // A project is granted under both names.
    m.text("home/me/project/package.json", "{}");
    m.text("home/me/project/x.js", "");
    let got = m.run(&["node", "%/users/me/project/x.js"]);
    m.grants(&got, &["bin/node", "home/me/project", "users/me/project"]);
    m.argv(&got, &["node", "%/users/me/project/x.js"]);
}

#[test]
fn bins_of_node_modules_show_the_outermost() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("opt/p/package.json", "{}");
    m.text("opt/p/secret", "");
    m.script("opt/p/node_modules/foo/dist/cli.js", "#!/usr/bin/env node\n");
    m.text("opt/p/node_modules/foo/package.json", "{}");
    m.link("../foo/dist/cli.js", "opt/p/node_modules/.bin/foo");
    let got = m.run(&["%/opt/p/node_modules/.bin/foo", "a"]);
    m.argv(&got, &["node", "%/opt/p/node_modules/.bin/foo", "a"]);
    m.grants(&got, &["bin/node", "opt/p/node_modules", "opt/p/package.json"]);
    assert_eq!((got.runtime, words(&got.server_args).as_str()), (Runtime::Node, "a"));
    let same = m.run(&["node", "%/opt/p/node_modules/.bin/foo", "a"]);
    assert_eq!((got.argv, got.grants), (same.argv, same.grants));
}

#[test]
fn global_bins_run_under_their_real_name() {
    let mut m = Machine::new();
    m.binary("bin/node");
    m.script("home/me/.npm-global/lib/node_modules/foo/cli.js", "#!/usr/bin/env node\n");
    m.link("../lib/node_modules/foo/cli.js", "home/me/.npm-global/bin/foo");
    m.in_path("home/me/.npm-global/bin");
    let got = m.run(&["foo"]);
    m.argv(&got, &["node", "%/home/me/.npm-global/lib/node_modules/foo/cli.js"]);
    m.grants(&got, &["bin/node", "home/me/.npm-global/lib/node_modules"]);
}

#[test]
fn pnpm_is_seen_through_its_links_and_wrappers() {
    let m = Machine::new();
    let node = m.binary("bin/node");
    m.text("opt/p/node_modules/.pnpm/foo@1/node_modules/foo/cli.js", "");
    m.link(".pnpm/foo@1/node_modules/foo", "opt/p/node_modules/foo");
    m.script(
        "opt/p/node_modules/.bin/foo",
        "#!/bin/sh\nbasedir=$(dirname \"$0\")\nif [ -x \"$basedir/node\" ]; then\n  exec \"$basedir/node\" \
         \"$basedir/../foo/cli.js\" \"$@\"\nelse\n  exec node  \"$basedir/../foo/cli.js\" \"$@\"\nfi\n",
    );
    let got = m.run(&["node", "%/opt/p/node_modules/foo/cli.js"]);
    m.grants(&got, &["bin/node", "opt/p/node_modules"]);
    let got = m.run(&["%/opt/p/node_modules/.bin/foo", "a"]);
    m.argv(&got, &["/bin/sh", "%/opt/p/node_modules/.bin/foo", "a"]);
    m.grants(&got, &["bin/node", "opt/p/node_modules"]);
    assert_eq!((got.runtime, &got.path_dirs), (Runtime::Node, &vec![node.parent().unwrap().to_path_buf()]));
    m.link(m.at("opt/p/node_modules/.bin/foo"), "bin/short");
    m.argv(&m.run(&["short", "a"]), &["/bin/sh", "%/opt/p/node_modules/.bin/foo", "a"]);
}

#[test]
fn wrapped_typescript_runners_bring_what_they_run() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("opt/p/node_modules/tsx/cli.mjs", "");
    m.script("opt/p/node_modules/.bin/tsx", "#!/bin/sh\nexec node  \"$basedir/../tsx/cli.mjs\" \"$@\"\n");
    m.text("home/me/project/package.json", "{}");
    m.text("home/me/project/s.ts", "");
    let got = m.run(&["%/opt/p/node_modules/.bin/tsx", "s.ts", "a"]);
    m.argv(&got, &["/bin/sh", "%/opt/p/node_modules/.bin/tsx", "%/home/me/project/s.ts", "a"]);
    m.grants(&got, &["bin/node", "opt/p/node_modules", "home/me/project"]);
}

#[test]
fn the_servers_own_file_is_told_from_its_interpreter() {
    let m = Machine::new();
    let node = m.node_at("opt/n");
    m.link(&node, "bin/node");
    let base = m.python_at("opt/py");
    m.venv_at("home/me/venv", &base);
    m.text("home/me/venv/lib/python3.12/site-packages/served/__main__.py", "");
    m.script("opt/p/node_modules/tsx/cli.mjs", "#!/usr/bin/env node\n");
    m.text("home/me/project/index.js", "");
    m.text("home/me/project/s.ts", "");
    m.link("index.js", "home/me/project/link.js");
    m.script("bin/served", "#!/usr/bin/env node\n");
    m.link("../bin/served", "opt/served");
    let tool = m.binary("opt/tool");
    #[track_caller]
    fn same(got: &Resolved, entry: Option<PathBuf>, interpreter: Option<&PathBuf>) {
        assert_eq!((&got.entry, got.interpreter.as_ref()), (&entry, interpreter), "{:#?}", got.argv);
    }
    same(&m.run(&["node", "index.js", "x"]), Some(m.home("project/index.js")), Some(&node));
    same(&m.run(&["node", "index"]), Some(m.home("project/index.js")), Some(&node));
    same(&m.run(&["node", "--import", "tsx", "./link.js"]), Some(m.home("project/index.js")), Some(&node));
    same(&m.run(&["node", "-e", "1", "index.js"]), None, Some(&node));
    same(&m.run(&["%/opt/p/node_modules/tsx/cli.mjs", "s.ts"]), Some(m.home("project/s.ts")), Some(&node));
    same(&m.run(&["%/opt/served", "index.js"]), Some(m.at("bin/served")), Some(&node));
    let module = m.home("venv/lib/python3.12/site-packages/served/__main__.py");
    same(&m.run(&["%/home/me/venv/bin/python", "-m", "served"]), Some(module), Some(&base));
    same(&m.run(&["%/home/me/venv/bin/python", "-m", "absent"]), None, Some(&base));
    same(&m.run(&["%/opt/tool", "index.js"]), Some(tool), None);
    same(&m.run(&["env", "A=b", "node", "index.js"]), Some(m.home("project/index.js")), Some(&node));
    same(&m.run(&["/bin/sh", "-c", "node index.js"]), None, Some(&Path::new("/bin/sh").canonicalize().unwrap()));
}

#[test]
fn wrappers_open_nothing_but_packages() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("home/me/.ssh/id_rsa", "secret");
    m.script("opt/p/node_modules/.bin/x", "#!/bin/sh\nexec node \"$basedir/../../../../home/me/.ssh/id_rsa\"\n");
    m.grants(&m.run(&["%/opt/p/node_modules/.bin/x"]), &["bin/node", "opt/p/node_modules"]);
}

#[test]
fn workspaces_show_the_package_and_what_it_shares() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("opt/mono/package.json", "{}");
    m.text("opt/mono/.env", "secret");
    m.text("opt/mono/packages/server/package.json", "{}");
    m.text("opt/mono/packages/server/cli.js", "");
    m.text("opt/mono/packages/shared/package.json", "{}");
    m.text("opt/mono/packages/other/package.json", "{}");
    m.text("opt/mono/node_modules/dep/package.json", "{}");
    m.link("../../packages/shared", "opt/mono/node_modules/@mono/shared");
    m.link("../packages/server", "opt/mono/node_modules/server");
    m.link("../server/cli.js", "opt/mono/node_modules/.bin/server");
    let expected = [
        "bin/node",
        "opt/mono/node_modules",
        "opt/mono/package.json",
        "opt/mono/packages/server",
        "opt/mono/packages/shared",
    ];
    m.grants(&m.run(&["node", "%/opt/mono/packages/server/cli.js"]), &expected);
    let got = m.run(&["node", "%/opt/mono/node_modules/.bin/server"]);
    m.grants(&got, &expected);
    m.argv(&got, &["node", "%/opt/mono/node_modules/.bin/server"]);
}

#[test]
fn links_in_packages_open_no_hidden_or_foreign_tree() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("home/me/.thunderbird/package.json", "{}");
    m.text("home/me/letters/x.txt", "");
    m.text("opt/p/node_modules/foo/cli.js", "");
    m.link(m.home(".thunderbird"), "opt/p/node_modules/a");
    m.link(m.home("letters"), "opt/p/node_modules/b");
    m.link(m.home(""), "opt/p/node_modules/c");
    m.grants(&m.run(&["node", "%/opt/p/node_modules/foo/cli.js"]), &["bin/node", "opt/p/node_modules"]);
}

#[test]
fn typescript_runners_bring_what_they_run() {
    let m = Machine::new();
    m.binary("bin/node");
    m.script("opt/p/node_modules/tsx/cli.mjs", "#!/usr/bin/env node\n");
    m.link("../tsx/cli.mjs", "opt/p/node_modules/.bin/tsx");
    m.text("home/me/project/package.json", "{}");
    m.text("home/me/project/src/server.ts", "");
    let got = m.run(&["%/opt/p/node_modules/.bin/tsx", "src/server.ts", "a"]);
    m.argv(&got, &["node", "%/opt/p/node_modules/.bin/tsx", "%/home/me/project/src/server.ts", "a"]);
    m.grants(&got, &["bin/node", "opt/p/node_modules", "home/me/project"]);
    assert_eq!(words(&got.server_args), "a");
}

#[test]
fn npm_under_its_own_name_is_still_npm() {
    let m = Machine::new();
    m.binary("bin/node");
    m.script("opt/lib/node_modules/npm/bin/npx-cli.js", "#!/usr/bin/env node\n");
    m.link("../opt/lib/node_modules/npm/bin/npx-cli.js", "bin/mynpx");
    m.fails(&["node", "%/opt/lib/node_modules/npm/bin/npx-cli.js", "-y", "x"], "needs-package-store");
    m.fails(&["mynpx", "-y", "x"], "needs-package-store");
    m.fails(&["npx", "-y", "x"], "needs-package-store");
}

// Shims

const PYENV_SHIM: &str = "#!/usr/bin/env bash\nset -e\nprogram=\"${0##*/}\"\nexport PYENV_ROOT=\"/x\"\n\
                          exec \"/x/libexec/pyenv\" exec \"$program\" \"$@\"\n";

fn pyenv(m: &mut Machine) {
    m.python_at("home/me/.pyenv/versions/3.12.1");
    m.python_at("home/me/.pyenv/versions/3.12.9");
    m.script("home/me/.pyenv/shims/python", PYENV_SHIM);
    m.script("home/me/.pyenv/shims/python3", PYENV_SHIM);
    m.in_path("home/me/.pyenv/shims");
}

#[test]
fn pyenv_versions_are_found_without_asking() {
    let mut m = Machine::new();
    pyenv(&mut m);
    m.text("home/me/.pyenv/version", "3.12.1\n");
    let program = |m: &Machine| m.run(&["python", "-c", "0"]).program;
    assert_eq!(program(&m), m.home(".pyenv/versions/3.12.1/bin/python3.12"));
    let got = m.run(&["python3", "-c", "0"]);
    m.grants(&got, &["home/me/.pyenv/versions/3.12.1"]);
    assert_eq!(got.argv.first(), Some(&got.program.clone().into_os_string()));
    m.text("home/me/.python-version", "# mine\n3.12.9\n");
    assert_eq!(program(&m), m.home(".pyenv/versions/3.12.9/bin/python3.12"));
    m.set("PYENV_VERSION", "3.12.1:3.12.9");
    assert_eq!(program(&m), m.home(".pyenv/versions/3.12.1/bin/python3.12"));
    m.set("PYENV_VERSION", "system");
    m.python_at("opt/py");
    m.in_path("opt/py/bin");
    // In front of the shims; and behind them too.
    assert_eq!(program(&m), m.at("opt/py/bin/python3.12"));
    m.in_path("home/me/.pyenv/shims");
    assert_eq!(program(&m), m.at("opt/py/bin/python3.12"));
}

#[test]
fn pyenv_is_asked_about_what_it_alone_knows() {
    let mut m = Machine::new();
    pyenv(&mut m);
    m.set("PYENV_VERSION", "3.12");
    assert_eq!(m.run(&["python", "-c", "0"]).program, m.home(".pyenv/versions/3.12.9/bin/python3.12"));
    m.set("PYENV_VERSION", "3.13");
    m.script("home/me/.pyenv/bin/pyenv", "#!/bin/sh\necho \"${0%/bin/pyenv}/versions/3.12.9/bin/$2\"\n");
    assert_eq!(m.run(&["python", "-c", "0"]).program, m.home(".pyenv/versions/3.12.9/bin/python3.12"));
    m.script("home/me/.pyenv/bin/pyenv", "#!/bin/sh\necho \"pyenv: version \\`3.12' is not installed\" >&2; exit 1\n");
    let error = m.fails(&["python", "-c", "0"], "shim-unresolved");
    assert!(error.to_string().contains("not installed"), "{error}");
    assert!(error.hint().unwrap().contains("pyenv install"));
    // An answer that is itself a shim, relative, or absent is no answer.
    for answer in ["%/home/me/.pyenv/shims/python", "bin/python", "/nowhere/python"] {
        let answer = m.expand(answer).into_string().unwrap();
        m.script("home/me/.pyenv/bin/pyenv", &format!("#!/bin/sh\necho {answer}\n"));
        m.fails(&["python", "-c", "0"], "shim-unresolved");
    }
    m.set("PYENV_VERSION", "../../../../bin");
    m.fails(&["python"], "shim-unresolved");
}

#[test]
fn a_package_cannot_pass_for_a_shim() {
    let m = Machine::new();
    let shim = "#!/bin/sh\nexec \"./evil/pyenv\" exec \"$program\"\n";
    m.script("home/me/project/node_modules/.bin/tool", shim);
    m.script("home/me/project/evil/pyenv", "#!/bin/sh\necho /bin/sh; : > ran\n");
    let got = m.run(&["./node_modules/.bin/tool"]);
    assert_eq!(got.argv.first(), Some(&OsString::from("/bin/sh")));
    assert!(!m.home("project/ran").exists());
}

#[test]
fn a_first_line_cannot_choose_the_manager() {
    let m = Machine::new();
    let evil = m.at("opt/evil").display().to_string();
    m.script("opt/evil/shims/python", PYENV_SHIM);
    m.script("opt/evil/bin/pyenv", "#!/bin/sh\n: > \"${0%/bin/pyenv}/ran\"\necho /bin/sh\n");
    m.text("opt/s/package.json", "{}");
    let first = format!("#!/usr/bin/env -S PYENV_ROOT={evil} PATH={evil}/shims:/usr/bin:/bin python\n");
    m.script("opt/s/server", &first);
    let _ = m.try_run(&["%/opt/s/server"]);
    assert!(!m.at("opt/evil/ran").exists());
    // The same as the person's own choice is obeyed.
    let _ = m.try_run(&["env", &format!("PYENV_ROOT={evil}"), &format!("PATH={evil}/shims:/usr/bin:/bin"), "python"]);
    assert!(m.at("opt/evil/ran").exists());
}

#[test]
fn an_environment_in_path_cannot_bring_a_manager() {
    let mut m = Machine::new();
    m.text("home/me/v/pyvenv.cfg", "");
    m.script("home/me/v/bin/tool", PYENV_SHIM);
    m.script("home/me/v/bin/pyenv", "#!/bin/sh\n: > \"${0%/bin/pyenv}/ran\"\necho /bin/sh\n");
    m.script("home/me/.pyenv/shims/python", PYENV_SHIM);
    m.in_path("home/me/.pyenv/shims");
    m.in_path("home/me/v/bin");
    m.set("PYENV_VERSION", "3.99");
    let _ = m.try_run(&["tool"]);
    m.fails(&["python"], "shim-unresolved");
    assert!(!m.at("home/me/v/ran").exists());
}

#[test]
fn manager_exec_is_unwrapped() {
    let mut m = Machine::new();
    pyenv(&mut m);
    m.text("home/me/.pyenv/version", "3.12.1\n");
    m.context.path = m.at("bin").into_os_string();
    let got = m.run(&["pyenv", "exec", "python", "-m", "mod", "a"]);
    assert_eq!(got.program, m.home(".pyenv/versions/3.12.1/bin/python3.12"));
    assert_eq!(words(&got.server_args), "a");
}

#[test]
fn asdf_old_and_new() {
    for exec in ["exec asdf exec \"node\" \"$@\"", "exec /x/bin/asdf exec \"node\" \"$@\" # asdf_allow: ' asdf '"] {
        let mut m = Machine::new();
        m.node_at("home/me/.asdf/installs/nodejs/20.1.0");
        m.node_at("home/me/.asdf/installs/nodejs/22.1.0");
        let shim = format!("#!/usr/bin/env bash\n# asdf-plugin: nodejs 20.1.0\n# asdf-plugin: nodejs 22.1.0\n{exec}\n");
        m.script("home/me/.asdf/shims/node", &shim);
        m.in_path("home/me/.asdf/shims");
        m.text("home/me/.tool-versions", "python 3.12.1\nnodejs 22.1.0 # LTS\n");
        let got = m.run(&["node", "-e", "0"]);
        m.grants(&got, &["home/me/.asdf/installs/nodejs/22.1.0"]);
        m.text("home/me/project/.tool-versions", "nodejs 20.1.0\n");
        assert_eq!(m.run(&["node", "-e", "0"]).program, m.home(".asdf/installs/nodejs/20.1.0/bin/node"));
        m.set("ASDF_NODEJS_VERSION", "22.1.0");
        assert_eq!(m.run(&["node", "-e", "0"]).program, m.home(".asdf/installs/nodejs/22.1.0/bin/node"));
        m.set("ASDF_NODEJS_VERSION", "latest");
        let error = m.fails(&["node", "-e", "0"], "shim-unresolved");
        assert!(error.hint().unwrap().contains("asdf set nodejs"));
        m.script("bin/asdf", "#!/bin/sh\necho \"$HOME/.asdf/installs/nodejs/20.1.0/bin/$2\"\n");
        assert_eq!(m.run(&["node", "-e", "0"]).program, m.home(".asdf/installs/nodejs/20.1.0/bin/node"));
    }
}

#[test]
fn mise_is_asked() {
    let mut m = Machine::new();
    let node = m.node_at("home/me/.local/share/mise/installs/node/22.1.0");
    m.script("opt/mise/mise", &format!("#!/bin/sh\n[ \"$1 $2\" = 'which node' ] && echo {}\n", node.display()));
    m.link("../../../../../../opt/mise/mise", "home/me/.local/share/mise/shims/node");
    m.link("../../../../../../opt/mise/mise", "home/me/.local/share/mise/shims/npm");
    m.in_path("home/me/.local/share/mise/shims");
    let got = m.run(&["node", "-e", "0"]);
    assert_eq!(got.program, node);
    m.grants(&got, &["home/me/.local/share/mise/installs/node/22.1.0"]);
    m.fails(&["npm", "start"], "shim-unresolved");
}

#[test]
fn volta_platforms_and_pins() {
    let mut m = Machine::new();
    m.node_at("home/me/.volta/tools/image/node/20.1.0");
    m.node_at("home/me/.volta/tools/image/node/22.1.0");
    m.binary("home/me/.volta/bin/volta-shim");
    m.link("volta-shim", "home/me/.volta/bin/node");
    m.link("volta-shim", "home/me/.volta/bin/tool");
    m.in_path("home/me/.volta/bin");
    m.text("home/me/.volta/tools/user/platform.json", r#"{"node":{"runtime":"22.1.0","npm":null}}"#);
    let got = m.run(&["node", "-e", "0"]);
    m.grants(&got, &["home/me/.volta/tools/image/node/22.1.0"]);
    m.text("home/me/project/package.json", r#"{"volta":{"node":"20.1.0"}}"#);
    assert_eq!(m.run(&["node", "-e", "0"]).program, m.home(".volta/tools/image/node/20.1.0/bin/node"));
    m.fails(&["tool"], "shim-unresolved");
}

#[test]
fn the_real_pyenv_is_understood() {
    // Only where this machine has it; `pyenv which` is then the judge.
    let required = std::env::var("MCPJAIL_TEST_REQUIRE").is_ok_and(|list| list.contains("pyenv"));
    let context = Context::of_process().unwrap();
    let dirs = super::files::path_entries(&context.path, &context.cwd);
    let shim = match super::files::search(OsStr::new("python3"), &dirs) {
        super::files::Search::Found(path) if path.parent().unwrap().ends_with(".pyenv/shims") => Some(path),
        _ => None,
    };
    let asked = std::process::Command::new("pyenv").args(["which", "python3"]).output();
    let (Some(_), Ok(asked)) = (shim, asked) else {
        assert!(!required, "pyenv is required but its shims are not in PATH");
        return;
    };
    let expected = PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim());
    let got = resolve(&["python3".into(), "-c".into(), "0".into()], &context).unwrap();
    assert_eq!(got.program, expected.canonicalize().unwrap());
    assert!(got.grants.iter().any(|grant| got.program.starts_with(&grant.path)));
    let path = got.argv.first().unwrap();
    let ran = std::process::Command::new(path).args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), path.to_str().unwrap());
}

// Python

#[test]
fn environments_keep_their_link_and_show_their_base() {
    let m = Machine::new();
    let base = m.python_at("home/me/.pyenv/versions/3.12.1");
    let python = m.venv_at("home/me/project/.venv", &base);
    m.text("home/me/project/server.py", "");
    m.text("home/me/project/pyproject.toml", "");
    let got = m.run(&[".venv/bin/python", "server.py", "a"]);
    assert_eq!((&got.program, got.runtime), (&python, Runtime::Python));
    m.argv(&got, &["%/home/me/project/.venv/bin/python", "%/home/me/project/server.py", "a"]);
    m.grants(&got, &["home/me/project", "home/me/.pyenv/versions/3.12.1"]);
    assert_eq!(got.path_dirs, [m.home("project/.venv/bin"), m.home(".pyenv/versions/3.12.1/bin")]);
}

#[test]
fn console_scripts_bring_their_environment() {
    let mut m = Machine::new();
    let base = m.python_at("home/me/.local/share/uv/python/cpython-3.12.1");
    m.link("cpython-3.12.1", "home/me/.local/share/uv/python/cpython-3.12");
    let minor = m.home(".local/share/uv/python/cpython-3.12/bin/python3.12");
    let python = m.venv_at("home/me/.local/share/uv/tools/x", &minor);
    let first = format!("#!{}\nimport sys\n", python.display());
    m.script("home/me/.local/share/uv/tools/x/bin/x", &first);
    m.link("../share/uv/tools/x/bin/x", "home/me/.local/bin/x");
    m.in_path("home/me/.local/bin");
    let got = m.run(&["x", "a"]);
    assert_eq!((&got.program, base.is_file()), (&python, true));
    m.argv(&got, &["%/home/me/.local/share/uv/tools/x/bin/python", "%/home/me/.local/share/uv/tools/x/bin/x", "a"]);
    m.grants(
        &got,
        &[
            "home/me/.local/share/uv/tools/x",
            "home/me/.local/share/uv/python/cpython-3.12",
            "home/me/.local/share/uv/python/cpython-3.12.1",
        ],
    );
    assert_eq!(words(&got.server_args), "a");
}

#[test]
fn long_first_lines_hide_behind_the_shell() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    let python = m.venv_at("home/me/project/v", &base);
    let text = format!("#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\nimport sys\n", python.display());
    m.script("home/me/project/v/bin/tool", &text);
    let got = m.run(&["v/bin/tool", "a"]);
    m.argv(&got, &["%/home/me/project/v/bin/python", "%/home/me/project/v/bin/tool", "a"]);
    m.grants(&got, &["home/me/project/v", "opt/py"]);
}

#[test]
fn modules_are_run_from_their_environment() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    m.venv_at("home/me/v", &base);
    let got = m.run(&["%/home/me/v/bin/python", "-Im", "mod.sub", "a", "b"]);
    m.argv(&got, &["%/home/me/v/bin/python", "-Im", "mod.sub", "a", "b"]);
    m.grants(&got, &["home/me/v", "opt/py"]);
    assert_eq!(words(&got.server_args), "a b");
    m.text("home/me/project/pyproject.toml", "");
    m.text("home/me/project/mod/__main__.py", "");
    m.grants(&m.run(&["%/home/me/v/bin/python", "-m", "mod"]), &["home/me/v", "home/me/project", "opt/py"]);
}

#[test]
fn copied_environments_find_their_base_by_name() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    m.text("home/me/v/pyvenv.cfg", &format!("home = {}\n", base.parent().unwrap().display()));
    m.binary("home/me/v/bin/python");
    m.grants(&m.run(&["%/home/me/v/bin/python", "-c", "0"]), &["home/me/v", "opt/py"]);
}

#[test]
fn a_python_in_a_shared_prefix_gets_its_parts_only() {
    let m = Machine::new();
    m.python_at("home/me/.local");
    m.text("home/me/.local/lib/python3.9/x", "");
    let got = m.run(&["%/home/me/.local/bin/python3", "-c", "0"]);
    m.grants(&got, &["home/me/.local/bin/python3.12", "home/me/.local/lib/python3.12"]);
}

#[test]
fn an_environment_cannot_name_a_foreign_tree_as_its_home() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    m.venv_at("home/me/v", &base);
    m.text("home/me/secrets/bin/key", "");
    for home in ["secrets/bin", "", "secrets"] {
        let home = m.home(home).display().to_string();
        m.text("home/me/v/pyvenv.cfg", &format!("home = {home}\n"));
        m.grants(&m.run(&["%/home/me/v/bin/python", "-c", "0"]), &["home/me/v", "opt/py"]);
    }
}

#[test]
fn editable_installs_are_believed_about_source_trees_only() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    m.venv_at("home/me/v", &base);
    m.text("home/me/code/lib/pyproject.toml", "");
    m.text("home/me/code/lib/src/lib/__init__.py", "");
    m.text("home/me/code/other/setup.py", "");
    m.text("home/me/letters/x", "");
    m.text("home/me/.thunderbird/setup.py", "");
    let site = "home/me/v/lib/python3.12/site-packages";
    let home = m.home("").display().to_string();
    m.text(
        &format!("{site}/a.pth"),
        &format!("import os\n{home}code/lib/src\n{home}\n{home}letters\n{home}.thunderbird\n/\n../../../../..\n"),
    );
    m.text(&format!("{site}/__editable___o_finder.py"), &format!("MAPPING = {{'o': '{home}code/other'}}\n"));
    let got = m.run(&["%/home/me/v/bin/python", "-m", "x"]);
    m.grants(&got, &["home/me/v", "opt/py", "home/me/code/lib/src", "home/me/code/other"]);
}

#[test]
fn user_site_packages_come_with_their_scripts() {
    let mut m = Machine::new();
    let base = m.python_at("opt/py");
    m.text("home/me/.local/lib/python3.12/site-packages/tool/__main__.py", "");
    m.script("home/me/.local/bin/tool", &format!("#!{}\n", base.display()));
    m.in_path("home/me/.local/bin");
    let site = "home/me/.local/lib/python3.12/site-packages";
    m.grants(&m.run(&["tool"]), &["opt/py", "home/me/.local/bin/tool", site]);
    m.grants(&m.run(&["%/opt/py/bin/python3", "-m", "tool"]), &["opt/py", site]);
    m.grants(&m.run(&["%/opt/py/bin/python3", "-m", "other"]), &["opt/py"]);
}

#[test]
fn the_mcp_launcher_brings_its_server() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    let python = m.venv_at("home/me/v", &base);
    m.script("home/me/v/bin/mcp", &format!("#!{}\n", python.display()));
    m.text("home/me/project/server.py", "");
    let got = m.run(&["%/home/me/v/bin/mcp", "run", "server.py:app", "a"]);
    m.argv(&got, &["%/home/me/v/bin/python", "%/home/me/v/bin/mcp", "run", "%/home/me/project/server.py:app", "a"]);
    m.grants(&got, &["home/me/v", "opt/py", "home/me/project/server.py"]);
    assert_eq!(words(&got.server_args), "a");
}

#[test]
fn binaries_of_an_environment_bring_it() {
    let m = Machine::new();
    let base = m.python_at("opt/py");
    m.venv_at("home/me/v", &base);
    m.binary("home/me/v/bin/tool");
    let got = m.run(&["%/home/me/v/bin/tool"]);
    m.grants(&got, &["home/me/v", "opt/py"]);
    assert_eq!(got.runtime, Runtime::Native);
}

#[test]
fn moved_environments_are_explained() {
    let m = Machine::new();
    m.text("home/me/v/pyvenv.cfg", "");
    m.script("home/me/v/bin/tool", "#!/nowhere/bin/python\n");
    let error = m.fails(&["%/home/me/v/bin/tool"], "interpreter-not-found");
    assert!(error.hint().unwrap().contains("venv --clear"), "{:?}", error.hint());
}

// First lines and env

#[test]
fn env_is_looked_up_here_and_not_in_the_jail() {
    let m = Machine::new();
    m.binary("bin/node");
    m.text("opt/s/package.json", "{}");
    let script = m.script("opt/s/plain", "#!/usr/bin/env node\n");
    m.script("opt/s/split", "#!/usr/bin/env -S node --no-warnings\n");
    m.script("opt/s/set", "#!/usr/bin/env -S A=1 node\n");
    m.script("opt/s/crlf", "#!/usr/bin/env node\r\n");
    m.script("opt/s/words", "#!/usr/bin/env node --x\n");
    m.script("opt/s/none", "#!/usr/bin/env\n");
    m.argv(&m.run(&["%/opt/s/plain", "a"]), &["node", "%/opt/s/plain", "a"]);
    m.argv(&m.run(&["%/opt/s/split", "a"]), &["node", "--no-warnings", "%/opt/s/split", "a"]);
    let got = m.run(&["%/opt/s/set", "a"]);
    m.argv(&got, &["env", "A=1", "%/bin/node", "%/opt/s/set", "a"]);
    assert_eq!((got.runtime, words(&got.server_args).as_str()), (Runtime::Node, "a"));
    assert!(got.program.starts_with("/usr") && script.is_file());
    let hint = |name: &str| m.fails(&[name], "interpreter-not-found").hint().unwrap();
    assert!(hint("%/opt/s/crlf").contains("sed -i"));
    assert!(hint("%/opt/s/words").contains("-S"));
}

#[test]
fn env_as_the_command_is_run_again_only_for_what_it_changes() {
    let m = Machine::new();
    let node = m.binary("bin/node");
    m.text("opt/s/package.json", "{}");
    m.text("opt/s/x.js", "");
    let got = m.run(&["env", "node", "%/opt/s/x.js", "a"]);
    assert_eq!(got.program, node);
    let got = m.run(&["env", "-u", "B", "A=1", "node", "%/opt/s/x.js", "a"]);
    m.argv(&got, &["env", "-u", "B", "A=1", "%/bin/node", "%/opt/s/x.js", "a"]);
    assert_eq!(words(&got.server_args), "a");
    m.node_at("opt/other");
    let got = m.run(&["env", "PATH=%/opt/other/bin", "node", "-e", "0"]);
    m.grants(&got, &["opt/other"]);
    m.fails(&["env", "-C", "/x", "node"], "env-option");
    m.fails(&["env", "A=1", "npx", "x"], "needs-package-store");
    m.binary("bin/only-in-path");
    m.fails(&["env", "-i", "only-in-path"], "command-not-found");
}

#[test]
fn scripts_of_scripts_end() {
    let m = Machine::new();
    m.script("bin/a", "#!/bin/sh\n");
    m.script("bin/b", &format!("#!{} -x\n", m.at("bin/a").display()));
    let got = m.run(&["b", "arg"]);
    m.argv(&got, &["/bin/sh", "%/bin/a", "-x", "%/bin/b", "arg"]);
    assert_eq!(words(&got.server_args), "arg");
    m.script("bin/loop", &format!("#!{}\n", m.at("bin/loop").display()));
    m.fails(&["loop"], "shebang-loop");
    m.script("bin/again", "#!/usr/bin/env again\n");
    m.fails(&["again"], "shebang-loop");
    m.script("bin/endless", &format!("#!{}", "x".repeat(300)));
    let got = m.run(&["endless"]);
    assert_eq!(got.argv.first(), Some(&OsString::from("/bin/sh")));
    m.script("bin/gone", "#!/nowhere/interpreter\n");
    m.fails(&["gone"], "interpreter-not-found");
}

#[test]
fn snaps_are_refused() {
    let m = Machine::new();
    m.binary("usr/bin/snap");
    m.link("../../usr/bin/snap", "snap/bin/node");
    m.fails(&["%/snap/bin/node", "x.js"], "self-confined");
    m.fails(&["snap", "run", "node"], "self-confined");
}

// Properties

#[derive(Debug, Clone)]
enum Step {
    Text(usize),
    Script(usize, usize),
    Binary(usize),
    Link(usize, usize),
}

const PLACES: [&str; 22] = [
    "home/me/server.js",
    "home/me/package.json",
    "home/me/pyvenv.cfg",
    "home/me/bin/python",
    "home/me/bin/node",
    "home/me/lib/node_modules/a/cli.js",
    "home/me/lib/python3.12/os.py",
    "home/me/lib/python3.12/site-packages/a.pth",
    "home/me/.local/bin/tool",
    "home/me/node_modules/.bin/tool",
    "home/me/project/x.js",
    "home/me/project/package.json",
    "home/me/project/node_modules/a",
    "home/me/project/v/pyvenv.cfg",
    "home/me/project/v/bin/python",
    "home/pyvenv.cfg",
    "home/package.json",
    "package.json",
    "pyvenv.cfg",
    "bin/python",
    "bin/node",
    "bin/tool",
];

const TARGETS: [&str; 12] = [
    "",
    "home",
    "home/me",
    "home/me/project",
    "home/me/bin/python",
    "home/me/bin/node",
    "home/me/server.js",
    "home/me/project/x.js",
    "home/me/.local/bin/tool",
    "bin/tool",
    "bin/node",
    "home/me/project/v/bin/python",
];

const TEXTS: [&str; 8] = [
    "#!/usr/bin/env node\n",
    "#!/usr/bin/env python\n",
    "#!%/home/me/bin/python\n",
    "home = %/home/me/bin\n",
    "%/home/me\n%\n/\n..\n../../..\n",
    "#!/bin/sh\nexec node \"$basedir/../../me\"\n",
    "#!%/bin/tool x\n",
    "{\"volta\":{}}",
];

const COMMANDS: [&[&str]; 14] = [
    &["tool", "a"],
    &["node", "%/home/me/server.js"],
    &["node", "%/home/me"],
    &["node", "%/home"],
    &["node", "/"],
    &["node", "-r", "%/home/me", "x.js"],
    &["python", "%/home/me/server.js"],
    &["python", "-m", "x"],
    &["python", "%/home/me"],
    &["%/home/me/bin/python", "-c", "0"],
    &["%/home/me/project/v/bin/python", "-m", "x"],
    &["%/home/me/.local/bin/tool"],
    &["%/home/me/node_modules/.bin/tool"],
    &["./x.js"],
];

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        (0..PLACES.len()).prop_map(Step::Text),
        (0..PLACES.len(), 0..TEXTS.len()).prop_map(|(place, text)| Step::Script(place, text)),
        (0..PLACES.len()).prop_map(Step::Binary),
        (0..PLACES.len(), 0..TARGETS.len()).prop_map(|(place, target)| Step::Link(place, target)),
    ];
    proptest::collection::vec(step, 1..24)
}

fn build(m: &Machine, step: &Step) -> std::io::Result<()> {
    let place = match step {
        Step::Text(place) | Step::Script(place, _) | Step::Binary(place) | Step::Link(place, _) => PLACES[*place],
    };
    let path = m.at(place);
    fs::create_dir_all(path.parent().unwrap())?;
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    match step {
        Step::Text(_) => fs::write(&path, "")?,
        Step::Script(_, text) => fs::write(&path, m.expand(TEXTS[*text]).as_bytes())?,
        Step::Binary(_) => fs::write(&path, "\x7fELF")?,
        Step::Link(_, target) => return symlink(m.at(TARGETS[*target]), &path),
    }
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]
    #[test]
    fn no_grant_is_the_home_or_above(steps in steps()) {
        let m = Machine::new();
        for step in &steps {
            // A place may have become a file that another wants as a directory.
            let _ = build(&m, step);
        }
        for command in COMMANDS {
            // Machine::holds is asserted on every success.
            let _ = m.try_run(command);
        }
    }
}
