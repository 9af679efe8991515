//! The packages that trials publish: MCP servers of a few dozen lines, what they depend on, and what is wrong with some.

use crate::archive::{self, Entry};
use crate::registry::{Npm, Registry};
use serde_json::{Map, Value, json};

const SERVER_JS: &str = include_str!("servers/server.js");
const SERVER_PY: &str = include_str!("servers/server.py");
const HOOK: &str = include_str!("servers/hook.js");
const BACKEND: &str = include_str!("servers/backend.py");

/// Where an install script looks.
pub fn targets(canary: &std::path::Path, outside: &std::path::Path, port: u16) -> String {
    json!({ "canary": canary, "outside": outside, "port": port }).to_string()
}

/// A server of npm's with one program of its own name. `more` replaces members of `package.json`; what it depends on is
/// what its tool `about` tells of.
pub fn server(name: &str, version: &str, more: Value) -> Npm {
    let mut manifest = json!({
        "name": name, "version": version, "description": "A server for tests.", "license": "MIT",
        "bin": { (name.rsplit('/').next().unwrap()): "server.js" },
    });
    let members = manifest.as_object_mut().unwrap();
    members.extend(more.as_object().cloned().unwrap_or_default());
    let wants: Vec<String> = ["dependencies", "optionalDependencies"]
        .iter()
        .filter_map(|key| members.get(*key)?.as_object())
        .flat_map(|parts| parts.keys().cloned())
        .collect();
    members.insert("wants".into(), wants.into());
    Npm { manifest, files: vec![Entry::executable("server.js", SERVER_JS)], elsewhere: None, packed: None }
}

/// A library of npm's.
pub fn library(name: &str, version: &str, more: Value) -> Npm {
    let mut manifest = json!({ "name": name, "version": version, "license": "ISC", "main": "index.js" });
    manifest.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let index = Entry::new("index.js", format!("exports.version = {version:?}\n"));
    Npm { manifest, files: vec![index], elsewhere: None, packed: None }
}

/// A library whose install script looks around.
pub fn hooked(name: &str, targets: &str) -> Npm {
    let mut package = library(name, "1.0.0", json!({ "scripts": { "postinstall": "node hook.js" } }));
    package.files.extend([Entry::new("hook.js", HOOK), Entry::new("targets.json", targets)]);
    package
}

/// `notes` 1.0.0 with a dependency, as most trials want it.
pub fn notes(registry: &Registry) {
    registry.npm(library("fixture-words", "1.0.0", json!({})));
    registry.npm(server("fixture-notes", "1.0.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } })));
}

/// `notes` 2.0.0: another dependency, a changed description, one tool more.
pub fn newer_notes(registry: &Registry) {
    registry.npm(library("fixture-words", "2.0.0", json!({})));
    registry.npm(server("fixture-notes", "2.0.0", json!({ "dependencies": { "fixture-words": "^2.0.0" } })));
}

/// A Python project before it is published.
pub struct Project {
    name: String,
    version: String,
    requires: Vec<String>,
    extras: Vec<String>,
    scripts: Vec<(String, String)>,
    requires_python: Option<String>,
    server: bool,
    more: Vec<(String, String)>,
}

impl Project {
    /// A server with one console script of its own name.
    pub fn server(name: &str, version: &str) -> Project {
        let script = (name.to_owned(), format!("{}.server:main", module(name)));
        Project { server: true, scripts: vec![script], ..Project::library(name, version) }
    }

    pub fn library(name: &str, version: &str) -> Project {
        Project {
            name: name.into(),
            version: version.into(),
            requires: Vec::new(),
            extras: Vec::new(),
            scripts: Vec::new(),
            requires_python: None,
            server: false,
            more: Vec::new(),
        }
    }

    /// `Requires-Dist` lines.
    pub fn requires(mut self, lines: &[&str]) -> Project {
        self.requires.extend(lines.iter().map(|line| (*line).to_owned()));
        self
    }

    pub fn extra(mut self, name: &str) -> Project {
        self.extras.push(name.into());
        self
    }

    /// In the place of the script of its own name.
    pub fn scripts(mut self, names: &[&str]) -> Project {
        let main = format!("{}.server:main", module(&self.name));
        self.scripts = names.iter().map(|name| ((*name).to_owned(), main.clone())).collect();
        self
    }

    /// One more file of the wheel.
    pub fn file(mut self, path: &str, text: &str) -> Project {
        self.more.push((path.into(), text.into()));
        self
    }

    pub fn requires_python(mut self, specifier: &str) -> Project {
        self.requires_python = Some(specifier.into());
        self
    }

    fn metadata(&self) -> String {
        let mut text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\nLicense: MIT\n", self.name, self.version);
        self.requires_python.iter().for_each(|spec| text.push_str(&format!("Requires-Python: {spec}\n")));
        self.extras.iter().for_each(|extra| text.push_str(&format!("Provides-Extra: {extra}\n")));
        self.requires.iter().for_each(|line| text.push_str(&format!("Requires-Dist: {line}\n")));
        text
    }

    fn dist_info(&self) -> String {
        format!("{}-{}.dist-info", module(&self.name), self.version)
    }

    fn wheel_name(&self) -> String {
        format!("{}-{}-py3-none-any.whl", module(&self.name), self.version)
    }

    /// Everything of the wheel but its `RECORD`.
    fn files(&self) -> Vec<(String, String)> {
        let (package, info) = (module(&self.name), self.dist_info());
        let wants: Vec<&str> =
            self.requires.iter().filter_map(|line| line.split(['>', '<', '=', ';', ' ', '[']).next()).collect();
        let init = format!("NAME = {:?}\nVERSION = {:?}\nWANTS = {wants:?}\n", self.name, self.version);
        let mut files = vec![(format!("{package}/__init__.py"), init)];
        if self.server {
            files.push((format!("{package}/server.py"), SERVER_PY.into()));
            files.push((format!("{package}/__main__.py"), "from .server import main\n\nmain()\n".into()));
        }
        files.push((format!("{info}/METADATA"), self.metadata()));
        let wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        files.push((format!("{info}/WHEEL"), wheel.into()));
        if !self.scripts.is_empty() {
            let lines: String = self.scripts.iter().map(|(name, main)| format!("{name} = {main}\n")).collect();
            files.push((format!("{info}/entry_points.txt"), format!("[console_scripts]\n{lines}")));
        }
        files.extend(self.more.clone());
        files
    }

    /// As a wheel.
    pub fn publish(&self, registry: &Registry) {
        let about = (Some(self.metadata()), self.requires_python.clone());
        registry.python(&self.name, self.wheel_name(), self.wheel(), about);
    }

    /// Everything of the wheel.
    fn all_files(&self) -> Vec<(String, String)> {
        let record = format!("{}/RECORD", self.dist_info());
        let mut files = self.files();
        let mut lines: String =
            files.iter().map(|(path, text)| format!("{path},sha256={},{}\n", urlsafe(text), text.len())).collect();
        lines.push_str(&format!("{record},,\n"));
        files.push((record, lines));
        files
    }

    /// The wheel.
    pub fn wheel(&self) -> Vec<u8> {
        let entries: Vec<Entry> = self.all_files().into_iter().map(|(path, text)| Entry::new(path, text)).collect();
        archive::zip(&entries)
    }

    /// As source only, with a build backend of its own that looks around.
    pub fn publish_source(&self, registry: &Registry, targets: &str) {
        let stem = format!("{}-{}", module(&self.name), self.version);
        let files: Map<String, Value> = self.files().into_iter().map(|(path, text)| (path, text.into())).collect();
        let contents = json!({
            "files": files, "wheel": self.wheel_name(), "record": format!("{}/RECORD", self.dist_info()),
            "report": format!("{}/report.json", module(&self.name)),
        });
        let project = format!(
            "[project]\nname = {:?}\nversion = {:?}\n\n[build-system]\nrequires = []\nbuild-backend = \"backend\"\n\
             backend-path = [\".\"]\n",
            self.name, self.version
        );
        let entries = [
            ("pyproject.toml", project),
            ("backend.py", BACKEND.to_owned()),
            ("targets.json", targets.to_owned()),
            ("contents.json", contents.to_string()),
            ("PKG-INFO", self.metadata()),
        ]
        .map(|(path, text)| Entry::new(format!("{stem}/{path}"), text));
        let about = (None, self.requires_python.clone());
        registry.python(&self.name, format!("{stem}.tar.gz"), archive::tarball(&entries), about);
    }

    /// Puts the project into an environment, as an installer would have.
    pub fn unpack(&self, site_packages: &std::path::Path) {
        for (path, text) in self.all_files() {
            crate::support::world::plant(&site_packages.join(path), &text).unwrap();
        }
    }
}

/// A digest as `RECORD` has it.
fn urlsafe(text: &str) -> String {
    let hex = archive::sha256(text.as_bytes());
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    archive::base64(&bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

fn module(name: &str) -> String {
    name.replace('-', "_")
}

/// `tides` 1.0.0 with a dependency, as most trials want it.
pub fn tides(registry: &Registry) {
    Project::library("fixture-shore", "1.0.0").publish(registry);
    Project::server("fixture-tides", "1.0.0").requires(&["fixture-shore>=1"]).publish(registry);
}
