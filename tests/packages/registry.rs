//! A registry on loopback, npm's and Python's in one, with what was published in this trial and nothing else. It writes down
//! what it is asked, and can be told to serve something else than it promised.
//!
//! npm: `/NAME` and `/@SCOPE%2fNAME` are packuments, full or abbreviated as asked for; tarballs lie beside them. Python: the
//! simple index (PEP 503 and, as JSON, PEP 691) at `/simple/`, files at `/files/` with their metadata (PEP 658).

use crate::archive::{self, Entry};
use crate::http::{Asked, Listening, Said};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";
const SIMPLE: &str = "application/vnd.pypi.simple.v1+json";

/// What a registry does to those whose path contains a text.
#[derive(Debug, Clone)]
pub enum Trick {
    /// Half of what was promised.
    Truncated,
    /// No answer.
    Stalled,
    /// Go there, with the same path.
    Redirected(String),
    /// Whatever was published, other bytes.
    Changed(Vec<u8>),
    /// This status.
    Status(u16),
}

/// A request as it is remembered.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
}

/// One version of a package of npm's.
struct Version {
    manifest: Value,
    tarball: Vec<u8>,
    integrity: String,
    /// The tarball's address, where it is not this registry's.
    elsewhere: Option<String>,
}

/// A file of a Python project.
struct File {
    name: String,
    bytes: Vec<u8>,
    sha256: String,
    metadata: Option<String>,
    requires_python: Option<String>,
}

#[derive(Default)]
struct State {
    npm: BTreeMap<String, Vec<Version>>,
    python: BTreeMap<String, Vec<File>>,
    tricks: Vec<(String, Trick)>,
    log: Vec<Seen>,
    /// The `Authorization` that is asked for.
    wanted: Option<String>,
    /// Advisories by package, as npm's bulk endpoint gives them.
    advisories: Map<String, Value>,
    html_only: bool,
}

pub struct Registry {
    state: Arc<Mutex<State>>,
    listening: Listening,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    pub fn new() -> Registry {
        let state = Arc::new(Mutex::new(State::default()));
        let answering = state.clone();
        let listening = Listening::start(Arc::new(move |asked: &Asked| answer(&mut lock(&answering), asked)));
        Registry { state, listening }
    }

    pub fn port(&self) -> u16 {
        self.listening.at.port()
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.listening.at.to_string()
    }

    /// With a `/` at the end.
    pub fn url(&self) -> String {
        format!("http://{}/", self.listening.at)
    }

    /// The Python index.
    pub fn simple(&self) -> String {
        format!("http://{}/simple", self.listening.at)
    }

    /// Publishes for npm: the newest version is the one that was published last.
    pub fn npm(&self, package: Npm) {
        let Npm { manifest, files, elsewhere, packed } = package;
        let name = manifest["name"].as_str().unwrap().to_owned();
        let mut entries =
            vec![Entry::new("package/package.json", format!("{:#}\n", packed.as_ref().unwrap_or(&manifest)))];
        entries.extend(files.into_iter().map(|file| Entry { path: format!("package/{}", file.path), ..file }));
        let tarball = archive::tarball(&entries);
        let integrity = archive::integrity(&tarball);
        let versions = &mut lock(&self.state).npm;
        versions.entry(name).or_default().push(Version { manifest, tarball, integrity, elsewhere });
    }

    /// Publishes a file of a Python project.
    pub fn python(&self, project: &str, name: String, bytes: Vec<u8>, about: (Option<String>, Option<String>)) {
        let (metadata, requires_python) = about;
        let sha256 = archive::sha256(&bytes);
        let file = File { name, bytes, sha256, metadata, requires_python };
        lock(&self.state).python.entry(project.to_owned()).or_default().push(file);
    }

    /// From now on, this is done to those whose path contains the text.
    pub fn trick(&self, path: &str, trick: Trick) {
        lock(&self.state).tricks.push((path.to_owned(), trick));
    }

    pub fn behave(&self) {
        lock(&self.state).tricks.clear();
    }

    /// Nothing without this `Authorization`.
    pub fn wants(&self, authorization: &str) {
        lock(&self.state).wanted = Some(authorization.to_owned());
    }

    pub fn html_only(&self) {
        lock(&self.state).html_only = true;
    }

    pub fn advises(&self, package: &str, advisory: Value) {
        lock(&self.state).advisories.insert(package.to_owned(), json!([advisory]));
    }

    /// Forgets every version of a package of npm's, so that others can be published in their place.
    pub fn unpublish(&self, name: &str) {
        lock(&self.state).npm.remove(name);
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.state).log)
    }
}

/// A package of npm's before it is published.
pub struct Npm {
    pub manifest: Value,
    /// Besides `package.json`.
    pub files: Vec<Entry>,
    /// The tarball's address, where it is not this registry's.
    pub elsewhere: Option<String>,
    /// The archive's own `package.json`, where the registry shows another one.
    pub packed: Option<Value>,
}

fn answer(state: &mut State, asked: &Asked) -> Said {
    let authorization = asked.header("authorization").map(str::to_owned);
    let (method, path) = (asked.method.clone(), asked.path.clone());
    let allowed = state.wanted.is_none() || state.wanted == authorization;
    state.log.push(Seen { method, path, authorization });
    if !allowed {
        return Said::Header(401, "www-authenticate", "Basic realm=\"packages\"".into());
    }
    // an archive is not its metadata, whose name is longer
    let meant = |path: &str| match path.ends_with(".whl") || path.ends_with(".tgz") {
        true => asked.path.ends_with(path),
        false => asked.path.contains(path),
    };
    let trick = state.tricks.iter().find(|(path, _)| meant(path));
    let usual = || find(state, asked).unwrap_or_else(|| Said::Body(404, "application/json", b"{}".to_vec()));
    match trick.map(|(_, trick)| trick) {
        None => usual(),
        Some(Trick::Stalled) => Said::Nothing,
        Some(Trick::Status(status)) => Said::Body(*status, "application/json", b"{}".to_vec()),
        Some(Trick::Redirected(to)) => {
            Said::Header(302, "location", format!("{}{}", to.trim_end_matches('/'), asked.path))
        }
        Some(Trick::Truncated) => match usual() {
            Said::Body(_, kind, body) => Said::Half(kind, body),
            other => other,
        },
        Some(Trick::Changed(bytes)) => Said::Body(200, "application/octet-stream", bytes.clone()),
    }
}

fn find(state: &State, asked: &Asked) -> Option<Said> {
    let path = asked.path.replace("%2f", "/").replace("%2F", "/").replace("%40", "@");
    let accept = asked.header("accept").unwrap_or_default();
    let base = format!("http://{}", asked.header("host")?);
    if path.starts_with("/-/npm/v1/security/advisories/bulk") {
        return Some(Said::Body(200, "application/json", Value::Object(state.advisories.clone()).to_string().into()));
    }
    if let Some(name) = path.strip_prefix("/simple/") {
        let files = state.python.get(name.trim_end_matches('/'))?;
        return Some(simple(name.trim_end_matches('/'), files, !state.html_only && accept.contains(SIMPLE), &base));
    }
    if let Some(name) = path.strip_prefix("/files/") {
        let mut files = state.python.values().flatten();
        return match name.strip_suffix(".metadata") {
            Some(name) => {
                let text = files.find(|file| file.name == name)?.metadata.clone()?;
                Some(Said::Body(200, "text/plain", text.into()))
            }
            None => {
                let file = files.find(|file| file.name == name)?;
                Some(Said::Body(200, "application/octet-stream", file.bytes.clone()))
            }
        };
    }
    let name = path.trim_start_matches('/');
    if let Some((name, archive)) = name.split_once("/-/") {
        let version = state.npm.get(name)?.iter().find(|version| archive == file_name(&version.manifest))?;
        return Some(Said::Body(200, "application/octet-stream", version.tarball.clone()));
    }
    let kind = if accept.contains(ABBREVIATED) { ABBREVIATED } else { "application/json" };
    Some(Said::Body(200, kind, packument(name, state.npm.get(name)?, kind == ABBREVIATED, &base).to_string().into()))
}

/// `NAME-VERSION.tgz`, without the scope.
fn file_name(manifest: &Value) -> String {
    let name = manifest["name"].as_str().unwrap_or_default();
    format!("{}-{}.tgz", name.rsplit('/').next().unwrap_or_default(), manifest["version"].as_str().unwrap_or_default())
}

fn packument(name: &str, versions: &[Version], abbreviated: bool, base: &str) -> Value {
    let mut all = Map::new();
    for Version { manifest, integrity, elsewhere, .. } in versions {
        let mut version = manifest.as_object().cloned().unwrap_or_default();
        let scripts = version.get("scripts").and_then(Value::as_object).cloned().unwrap_or_default();
        if ["preinstall", "install", "postinstall"].iter().any(|script| scripts.contains_key(*script)) {
            version.insert("hasInstallScript".into(), true.into());
        }
        if abbreviated {
            ["scripts", "description", "license"].iter().for_each(|key| drop(version.remove(*key)));
        }
        let here = format!("{base}/{name}/-/{}", file_name(manifest));
        let tarball = elsewhere.clone().unwrap_or(here);
        version.insert("dist".into(), json!({ "tarball": tarball, "integrity": integrity }));
        all.insert(manifest["version"].as_str().unwrap_or_default().to_owned(), version.into());
    }
    let latest = versions.last().map(|version| version.manifest["version"].clone());
    json!({ "name": name, "dist-tags": { "latest": latest }, "versions": all, "modified": "2026-01-01T00:00:00.000Z" })
}

fn simple(name: &str, files: &[File], as_json: bool, base: &str) -> Said {
    if as_json {
        let list: Vec<Value> = files
            .iter()
            .map(|file| {
                let metadata = file.metadata.as_ref().map(|text| json!({ "sha256": archive::sha256(text.as_bytes()) }));
                json!({
                    "filename": file.name, "url": format!("{base}/files/{}", file.name),
                    "hashes": { "sha256": file.sha256 }, "requires-python": file.requires_python,
                    "core-metadata": metadata.unwrap_or(false.into()), "size": file.bytes.len(),
                })
            })
            .collect();
        let index = json!({ "meta": { "api-version": "1.0" }, "name": name, "files": list });
        return Said::Body(200, SIMPLE, index.to_string().into());
    }
    let mut page = "<!DOCTYPE html><html><body>\n".to_owned();
    for file in files {
        let python = file
            .requires_python
            .as_ref()
            .map(|spec| format!(" data-requires-python=\"{}\"", spec.replace('<', "&lt;").replace('>', "&gt;")));
        page.push_str(&format!(
            "<a href=\"{base}/files/{0}#sha256={1}\"{2}>{0}</a><br>\n",
            file.name,
            file.sha256,
            python.unwrap_or_default()
        ));
    }
    Said::Body(200, "text/html", (page + "</body></html>\n").into())
}
