//! What a person asked for, before anything was looked up. Pure data, kept in the store's record of a server.

use serde::{Deserialize, Serialize};

/// A package as it is asked for, and what the server is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum Request {
    /// From an npm registry.
    Npm(NpmRequest),
    /// From a Python index.
    Pypi(PypiRequest),
    /// Code on this machine.
    Local(LocalRequest),
}

/// `npx -y PKG ARGS…`, `npx -p PKG -p OTHER BIN ARGS…`, `npm:PKG@VER ARGS…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NpmRequest {
    /// What is installed; the first one is the server's. Never empty.
    pub packages: Vec<NpmSpec>,
    /// Which of the package's programs; the package's own choice where absent.
    pub bin: Option<String>,
    /// Options of `node` itself, such as `--experimental-strip-types`. Mostly none.
    pub node_options: Vec<String>,
    /// The server's arguments.
    pub args: Vec<String>,
}

/// A name of the npm registry and what is asked of its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NpmSpec {
    /// `server` or `@scope/server`, as the registry spells it.
    pub name: String,
    /// A version, a range or a tag; `latest` where nothing was said.
    pub version: String,
}

/// `uvx --from 'PKG[EXTRA]==VER' --with OTHER SCRIPT ARGS…`, `python -m MODULE ARGS…`, `pypi:PKG==VER ARGS…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PypiRequest {
    /// The server's package. For `python -m MODULE` its name is empty until the interpreter was asked which one it is.
    pub main: PypiSpec,
    /// What is installed besides it.
    pub with: Vec<PypiSpec>,
    /// What of it is run.
    pub run: PypiRun,
    /// Which Python: `3.12`, `python3.11`, a path; the machine's `python3` where absent.
    pub python: Option<String>,
    /// The server's arguments.
    pub args: Vec<String>,
}

/// A name of the Python index, extras, and what is asked of its version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PypiSpec {
    /// As typed; compared in the form of PEP 503.
    pub name: String,
    /// `[EXTRA]`s, sorted.
    pub extras: Vec<String>,
    /// A version specifier of PEP 440 with its operator, such as `==1.2.3` or `>=1,<2`; empty where nothing was said.
    pub version: String,
}

/// What of a Python package is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PypiRun {
    /// A console script; the one with the package's name where `None`.
    Script(Option<String>),
    /// `-m MODULE`.
    Module(String),
}

/// A command whose code lies on this machine: `node PATH`, a binary, a virtual environment's script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalRequest {
    /// Its words; relative paths were made absolute.
    pub command: Vec<String>,
}

impl Request {
    /// The server's own arguments: what goes into the profile's `args`. Empty for [`Request::Local`], whose words are
    /// only told apart once the command is resolved.
    #[must_use]
    pub fn args(&self) -> &[String] {
        match self {
            Request::Npm(request) => &request.args,
            Request::Pypi(request) => &request.args,
            Request::Local(_) => &[],
        }
    }
}
