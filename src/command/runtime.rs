//! Interpreters other than Python: which one a program is, and what its installation consists of.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::needs::Needs;
use super::{Runtime, elf, files, python};

/// A kind of program, by how its arguments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavor {
    Node,
    Bun,
    Deno,
    Python,
    Shell,
    Java,
    Dotnet,
    Ruby,
    Perl,
    Php,
    Lua,
    Binary,
}

impl Flavor {
    /// By the name under which it is called, else by its real one: `nodejs` may lead to `node`, `sh` to `busybox`.
    pub(super) fn of(reached: &Path, real: &Path) -> Self {
        let known = |path| Some(Self::named(files::name_of(path))).filter(|flavor| *flavor != Self::Binary);
        known(reached).or_else(|| known(real)).unwrap_or(Self::Binary)
    }

    fn named(name: &OsStr) -> Self {
        if python::is_python(name) {
            return Self::Python;
        }
        let text = name.to_str().unwrap_or_default();
        // `node-22`, `ruby3.1`, `php8.3`, `lua5.4`, `perl5.36.0`
        let stem = text.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
        match stem {
            "node" | "nodejs" => Self::Node,
            "bun" => Self::Bun,
            "deno" => Self::Deno,
            "sh" | "bash" | "dash" | "zsh" | "ksh" | "mksh" | "ash" | "fish" => Self::Shell,
            "java" => Self::Java,
            "dotnet" => Self::Dotnet,
            "ruby" | "jruby" => Self::Ruby,
            "perl" => Self::Perl,
            "php" => Self::Php,
            "lua" | "luajit" => Self::Lua,
            _ => Self::Binary,
        }
    }

    /// The profile that it gets. Bun and Deno run the same servers as Node, with the same system calls and files.
    pub(super) fn runtime(self) -> Runtime {
        match self {
            Self::Node | Self::Bun | Self::Deno => Runtime::Node,
            Self::Python => Runtime::Python,
            Self::Shell
            | Self::Java
            | Self::Dotnet
            | Self::Ruby
            | Self::Perl
            | Self::Php
            | Self::Lua
            | Self::Binary => Runtime::Native,
        }
    }

    /// What proves that the directory above `bin` is the program's own installation; relative to that directory.
    fn landmarks(self) -> &'static [&'static str] {
        match self {
            Self::Node => &["lib/node_modules", "include/node"],
            Self::Java => &["lib/modules", "release", "jre/lib"],
            Self::Ruby => &["lib/ruby"],
            Self::Perl => &["lib/perl5"],
            Self::Php => &["lib/php"],
            Self::Lua => &["share/lua"],
            Self::Bun | Self::Deno | Self::Python | Self::Shell | Self::Dotnet | Self::Binary => &[],
        }
    }
}

/// Grants a program that is no Python, given by its real path.
pub(super) fn grant(needs: &mut Needs, flavor: Flavor, real: &Path) {
    let bin = real.parent().unwrap_or(real);
    if flavor != Flavor::Binary {
        needs.path_dir(bin);
    }
    if files::is_system(real) {
        return;
    }
    if let Some(root) = homebrew(real) {
        for (part, reason) in [
            ("Cellar", "Homebrew's programs"),
            ("opt", "Homebrew's links to programs"),
            ("lib", "Homebrew's libraries"),
            ("etc/openssl@3", "Homebrew's certificates"),
            ("etc/ca-certificates", "Homebrew's certificates"),
        ] {
            let _ = needs.tree(&root.join(part), reason);
        }
        needs.note(format!("installation: Homebrew in {}", root.display()));
    }
    let prefix = bin.parent().filter(|prefix| flavor.landmarks().iter().any(|mark| prefix.join(mark).exists()));
    let whole = prefix.is_some_and(|prefix| needs.tree(prefix, "the runtime's installation"));
    if let (true, Some(prefix)) = (whole, prefix) {
        needs.note(format!("installation: {}", prefix.display()));
    }
    if !whole {
        needs.file(real, "the program");
        // An installation in a directory that holds other things, such as ~/.local: only its own parts.
        for mark in flavor.landmarks() {
            if let Some(part) = prefix.map(|prefix| prefix.join(mark)).filter(|part| part.is_dir()) {
                let _ = needs.tree(&part, "the runtime's installation");
            }
        }
    }
    let beside = (flavor == Flavor::Dotnet && bin.join("shared").is_dir()) || dotnet_host(real);
    if beside && !needs.tree(bin, "the program's directory") {
        needs.note(format!("{}: too broad to be granted whole", bin.display()));
    }
    elf::grant(needs, real);
}

/// Whether a binary is the starter of a .NET program: its code is in a file beside it.
fn dotnet_host(real: &Path) -> bool {
    let mut code = real.as_os_str().to_os_string();
    code.push(".dll");
    Path::new(&code).is_file()
}

/// The directory that Homebrew is installed in, for a program of its `Cellar`.
fn homebrew(real: &Path) -> Option<PathBuf> {
    let at = real.components().position(|part| part == Component::Normal(OsStr::new("Cellar")))?;
    Some(real.components().take(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_program_is() {
        let of = |reached: &str, real: &str| Flavor::of(Path::new(reached), Path::new(real));
        assert_eq!(of("/usr/bin/nodejs", "/usr/bin/node"), Flavor::Node);
        assert_eq!(of("/usr/bin/node-22", "/usr/bin/node-22"), Flavor::Node);
        assert_eq!(of("/bin/sh", "/bin/busybox"), Flavor::Shell);
        assert_eq!(of("/x/server", "/x/bin/python3.12"), Flavor::Python);
        assert_eq!(of("/x/ruby3.1", "/x/ruby3.1"), Flavor::Ruby);
        assert_eq!(of("/x/noded", "/x/noded"), Flavor::Binary);
        assert_eq!(Flavor::Deno.runtime(), Runtime::Node);
    }

    #[test]
    fn homebrew_is_known_by_its_cellar() {
        assert_eq!(homebrew(Path::new("/h/.brew/Cellar/node/22/bin/node")), Some("/h/.brew".into()));
        assert_eq!(homebrew(Path::new("/usr/bin/node")), None);
    }
}
