//! What was installed: its name and version, its parts, and how it is started. Kept beside the tree, under its digest.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecosystem {
    /// The npm registry, or the one that the person's npm uses.
    Npm,
    /// The Python package index, or the one that the person's uv or pip uses.
    Pypi,
    /// This machine.
    Local,
}

/// One version of one package. Written `npm:@scope/name@1.2.3`, `pypi:name[extra]==1.2.3`, `local:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// Where from.
    pub ecosystem: Ecosystem,
    /// Its name, in the ecosystem's own spelling.
    pub name: String,
    /// Extras of a Python package, sorted.
    pub extras: Vec<String>,
    /// Its exact version; empty for local code that names none.
    pub version: String,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Release { ecosystem, name, extras, version } = self;
        match ecosystem {
            Ecosystem::Npm => write!(f, "npm:{name}@{version}"),
            Ecosystem::Pypi if extras.is_empty() => write!(f, "pypi:{name}=={version}"),
            Ecosystem::Pypi => write!(f, "pypi:{name}[{}]=={version}", extras.join(",")),
            Ecosystem::Local if version.is_empty() => write!(f, "local:{name}"),
            Ecosystem::Local => write!(f, "local:{name}@{version}"),
        }
    }
}

/// How a server is started. All paths are relative to the tree's `root`, without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// `node [OPTIONS] SCRIPT`, by the machine's `node`.
    Node {
        /// Options of `node` itself.
        options: Vec<String>,
        /// The script.
        script: PathBuf,
    },
    /// `PYTHON SCRIPT`: the tree's own virtual environment.
    PythonScript {
        /// The environment's interpreter, a symlink to the machine's: `venv/bin/python`.
        python: PathBuf,
        /// The console script.
        script: PathBuf,
    },
    /// `PYTHON -m MODULE`.
    PythonModule {
        /// As above.
        python: PathBuf,
        /// The module.
        module: String,
    },
    /// A program of its own.
    Program {
        /// The program.
        path: PathBuf,
    },
}

/// A hash as a package's lock gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hash {
    /// `sha256`, `sha384`, `sha512`, `sha1`.
    pub algorithm: String,
    /// Lower-case hexadecimal.
    pub hex: String,
}

/// One package of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hashes that its archive was held against; several where an index has several archives of one version.
    pub hashes: Vec<Hash>,
    /// Its licence as it states it (SPDX expression or a name), if it does.
    pub license: Option<String>,
    /// Indices into the same list: what it depends on directly. Sorted.
    pub depends: Vec<usize>,
}

/// An install script that was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Script {
    /// The package.
    pub package: String,
    /// What it would have run, as it is written there.
    pub command: String,
}

/// What an ecosystem put into a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Installed {
    /// The server's package.
    pub release: Release,
    /// How it is started.
    pub start: Start,
    /// All packages, the server's own first, then by name and version.
    pub components: Vec<Component>,
    /// Install scripts that were not run.
    pub skipped: Vec<Script>,
    /// Packages whose install scripts were run.
    pub ran: Vec<String>,
}
