//! Which indexes the person's own uv or pip uses, as what a job is given for it: variables, files to read, hosts to reach.
//!
//! The installer reads its configuration itself, so that credentials, strategies and certificates work as they do outside. Here
//! it is read only for what the jail has to open: the hosts of indexes and proxies, and files that are named.

use super::super::{Access, Job};
use crate::command::Context;
use crate::egress::Written;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of a configuration file that are read.
const MAX_TEXT: u64 = 1 << 20;

/// Variables that both installers and their HTTP clients read.
const COMMON: [&str; 13] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSL_CLIENT_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// uv's variables that say where packages come from and which are taken; those of its directories are set by the job.
const UV: [&str; 28] = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_CONFIG_FILE",
    "UV_NO_CONFIG",
    "UV_KEYRING_PROVIDER",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_HTTP_TIMEOUT",
    "UV_REQUEST_TIMEOUT",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_EXCLUDE_NEWER",
    "UV_PRERELEASE",
    "UV_RESOLUTION",
    "UV_FORK_STRATEGY",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_BUILD_CONSTRAINT",
    "UV_NETRC",
    "UV_CREDENTIALS_DIR",
];

/// pip's.
const PIP: [&str; 19] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_CONFIG_FILE",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_TRUSTED_HOST",
    "PIP_PROXY",
    "PIP_TIMEOUT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "PIP_PRE",
    "PIP_PREFER_BINARY",
    "PIP_CONSTRAINT",
    "PIP_KEYRING_PROVIDER",
    "PIP_USE_FEATURE",
    "PIP_USE_DEPRECATED",
    "PIP_UPLOADED_PRIOR_TO",
];

/// Whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// uv's.
    Uv,
    /// pip's.
    Pip,
}

/// What a job is given so that it reaches the person's indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    /// Variables, credentials among them: they reach the install jail and nothing else.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Files and directories to read.
    pub(super) read: Vec<PathBuf>,
    /// Hosts.
    pub(super) rules: Vec<Written>,
    /// The index that is asked first, for people.
    pub(super) name: String,
    /// Files and directories of those to read that hold nothing but credentials.
    pub(super) secret: Vec<PathBuf>,
    /// The first place that holds credentials of one of these hosts, for people.
    pub(super) credentials: Option<String>,
}

/// Variables that lead to credentials.
const SECRET: [&str; 3] = ["NETRC", "UV_NETRC", "UV_CREDENTIALS_DIR"];

impl Indexes {
    /// The same for a job in which a stranger's build runs: without the credentials of other hosts. A job whose indexes
    /// themselves need some is not to be run at all ([`Indexes::credentials`]): without them an index would be passed over,
    /// and its packages taken from another one.
    pub(super) fn of_builds(&self) -> Indexes {
        let mut own = self.clone();
        own.env.retain(|(name, _)| !SECRET.iter().any(|secret| name == secret));
        own.read.retain(|path| !self.secret.contains(path));
        own
    }

    /// Gives a job what it needs to reach the indexes.
    pub(super) fn give(&self, job: &mut Job, network: &[Written]) {
        job.env.extend(self.env.iter().cloned());
        job.grants.extend(self.read.iter().map(|path| (path.clone(), Access::Read)));
        job.network.extend(self.rules.iter().cloned());
        for rule in network.iter().filter(|rule| !self.rules.contains(rule)) {
            job.network.push(rule.clone());
        }
    }
}

/// Reads variables and configuration files.
pub(super) fn read(context: &Context, whose: Whose) -> Indexes {
    let mut found = Found::new(context);
    found.variables(whose);
    match whose {
        Whose::Uv => found.uv_files(),
        Whose::Pip => found.pip_files(),
    }
    found.netrc();
    found.finish()
}

struct Found<'a> {
    context: &'a Context,
    env: Vec<(OsString, OsString)>,
    read: BTreeSet<PathBuf>,
    /// Addresses that replace the default index, the strongest first.
    default: Vec<String>,
    /// Addresses besides it.
    more: Vec<String>,
    proxies: Vec<String>,
    no_index: bool,
    secret: Vec<PathBuf>,
    credentials: Option<String>,
}

impl<'a> Found<'a> {
    fn new(context: &'a Context) -> Self {
        Found {
            context,
            env: Vec::new(),
            read: BTreeSet::new(),
            default: Vec::new(),
            more: Vec::new(),
            proxies: Vec::new(),
            no_index: false,
            secret: Vec::new(),
            credentials: None,
        }
    }

    fn holds_credentials(&mut self, place: &str) {
        self.credentials.get_or_insert_with(|| place.to_owned());
    }

    fn var(&self, name: &str) -> Option<&'a OsStr> {
        var(self.context, name)
    }

    fn config_home(&self) -> PathBuf {
        self.var("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| self.context.home.join(".config"))
    }

    /// A file or directory that is named, if it is there: relative to `base`.
    fn reads(&mut self, path: &Path, base: &Path) {
        let path = path
            .to_str()
            .and_then(|text| text.strip_prefix("~/"))
            .map_or_else(|| path.to_path_buf(), |rest| self.context.home.join(rest));
        let path = base.join(path);
        if path.is_absolute() && path.exists() {
            self.read.insert(path);
        }
    }

    fn variables(&mut self, whose: Whose) {
        let own: &[&str] = if whose == Whose::Uv { &UV } else { &PIP };
        for name in COMMON.iter().chain(own) {
            if let Some(value) = self.var(name) {
                self.env.push(((*name).into(), value.to_owned()));
                let text = value.to_string_lossy();
                let keys = name.ends_with("CLIENT_CERT")
                    || (name.ends_with("KEYRING_PROVIDER") && !["disabled", "import"].contains(&&*text));
                if keys || has_password(&text) {
                    self.holds_credentials(name);
                }
            }
        }
        if whose == Whose::Uv {
            // `UV_INDEX_NAME_USERNAME` and `UV_INDEX_NAME_PASSWORD`.
            let secret = |name: &&OsString| {
                let name = name.as_bytes();
                name.starts_with(b"UV_INDEX_") && (name.ends_with(b"_USERNAME") || name.ends_with(b"_PASSWORD"))
            };
            let names: Vec<OsString> = self.context.env.keys().filter(secret).cloned().collect();
            for name in names {
                if let Some(value) = self.context.env.get(&name) {
                    self.holds_credentials(&name.to_string_lossy());
                    self.env.push((name, value.clone()));
                }
            }
        }
        let context = self.context;
        let text = |name: &str| var(context, name).and_then(OsStr::to_str).unwrap_or_default().to_owned();
        let words = |name: &str| {
            text(name).split([' ', '\n', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "PIP_PROXY"] {
            if whose == Whose::Pip || name != "PIP_PROXY" {
                self.proxies.extend(words(name));
            }
        }
        let mut files = Vec::new();
        let cwd = self.context.cwd.clone();
        match whose {
            Whose::Uv => {
                self.default
                    .extend(words("UV_DEFAULT_INDEX").iter().chain(&words("UV_INDEX_URL")).map(|word| unnamed(word)));
                self.more
                    .extend(words("UV_INDEX").iter().chain(&words("UV_EXTRA_INDEX_URL")).map(|word| unnamed(word)));
                self.more
                    .extend(text("UV_FIND_LINKS").split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned));
                self.no_index = is_true(&text("UV_NO_INDEX"));
                for name in ["UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT"] {
                    files.extend(words(name));
                }
                files.extend([text("UV_CREDENTIALS_DIR"), text("UV_CONFIG_FILE")]);
                if self.var("UV_CREDENTIALS_DIR").is_none() {
                    let data = self
                        .var("XDG_DATA_HOME")
                        .map(PathBuf::from)
                        .unwrap_or_else(|| self.context.home.join(".local/share"));
                    let dir = data.join("uv/credentials");
                    if dir.is_dir() {
                        self.env.push(("UV_CREDENTIALS_DIR".into(), dir.clone().into()));
                        self.read.insert(dir);
                    }
                }
                if let Some((_, dir)) = self.env.iter().find(|(name, _)| name == "UV_CREDENTIALS_DIR") {
                    self.secret.push(cwd.join(dir));
                }
            }
            Whose::Pip => {
                self.default.extend(words("PIP_INDEX_URL"));
                self.more.extend(words("PIP_EXTRA_INDEX_URL"));
                self.more.extend(words("PIP_FIND_LINKS"));
                self.no_index = is_true(&text("PIP_NO_INDEX"));
                files.extend(words("PIP_CONSTRAINT"));
                files.extend([text("PIP_CERT"), text("PIP_CLIENT_CERT"), text("PIP_CONFIG_FILE")]);
            }
        }
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            files.push(text(name));
        }
        for file in files.iter().filter(|file| !file.is_empty()) {
            self.reads(Path::new(file), &cwd);
        }
    }

    /// `uv.toml` of the machine and of the person; what a project says is a project's affair.
    fn uv_files(&mut self) {
        let files = match self.var("UV_CONFIG_FILE") {
            Some(file) => vec![self.context.cwd.join(file)],
            None if self.var("UV_NO_CONFIG").is_some_and(|value| is_true(&value.to_string_lossy())) => return,
            None => {
                let home = self.config_home();
                self.env.push(("XDG_CONFIG_HOME".into(), home.clone().into()));
                let system = std::env::split_paths(self.var("XDG_CONFIG_DIRS").unwrap_or(OsStr::new("/etc/xdg")));
                let system = system.map(|dir| dir.join("uv/uv.toml")).chain(std::iter::once("/etc/uv/uv.toml".into()));
                std::iter::once(home.join("uv/uv.toml")).chain(system).collect()
            }
        };
        for file in files {
            let Some(text) = small_text(&file) else { continue };
            self.read.insert(file.clone());
            if has_password(&text) || text.contains("keyring-provider") {
                self.holds_credentials(&file.to_string_lossy());
            }
            let Ok(table) = text.parse::<toml::Table>() else { continue };
            let base = file.parent().unwrap_or(Path::new("/")).to_path_buf();
            self.uv_table(&table, &base);
            if let Some(toml::Value::Table(pip)) = table.get("pip") {
                self.uv_table(pip, &base);
            }
        }
    }

    fn uv_table(&mut self, table: &toml::Table, base: &Path) {
        let texts = |key: &str| match table.get(key) {
            Some(toml::Value::String(text)) => vec![text.clone()],
            Some(toml::Value::Array(list)) => list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        self.default.extend(texts("index-url"));
        self.more
            .extend(texts("extra-index-url").into_iter().chain(texts("find-links")).map(|text| relative(&text, base)));
        for key in ["http-proxy", "https-proxy"] {
            self.proxies.extend(texts(key));
        }
        self.no_index |= table.get("no-index").and_then(toml::Value::as_bool) == Some(true);
        let Some(indexes) = table.get("index").and_then(toml::Value::as_array) else { return };
        for index in indexes.iter().filter_map(toml::Value::as_table) {
            let Some(url) = index.get("url").and_then(toml::Value::as_str) else { continue };
            let url = relative(url, base);
            if index.get("default").and_then(toml::Value::as_bool) == Some(true) {
                self.default.push(url);
            } else {
                self.more.push(url);
            }
        }
    }

    /// `pip.conf` of the machine and of the person. pip reads its old place below the home by an extra variable here, since a
    /// job has no home.
    fn pip_files(&mut self) {
        let home = self.config_home();
        self.env.push(("XDG_CONFIG_HOME".into(), home.clone().into()));
        let named = self.var("PIP_CONFIG_FILE").map(|file| self.context.cwd.join(file));
        if named.as_deref() == Some(Path::new("/dev/null")) {
            return;
        }
        let legacy = self.context.home.join(".pip/pip.conf");
        if named.is_none() && legacy.is_file() {
            self.env.push(("PIP_CONFIG_FILE".into(), legacy.clone().into()));
        }
        let system = std::env::split_paths(self.var("XDG_CONFIG_DIRS").unwrap_or(OsStr::new("/etc/xdg")))
            .map(|dir| dir.join("pip/pip.conf"));
        let files: Vec<PathBuf> = named
            .into_iter()
            .chain([home.join("pip/pip.conf"), legacy, "/etc/pip.conf".into()])
            .chain(system)
            .collect();
        for file in files {
            let Some(text) = small_text(&file) else { continue };
            self.read.insert(file.clone());
            if has_password(&text) || ini(&text).iter().any(|(key, _)| key == "client-cert") {
                self.holds_credentials(&file.to_string_lossy());
            }
            let base = file.parent().unwrap_or(Path::new("/")).to_path_buf();
            for (key, value) in ini(&text) {
                let words = || value.split_whitespace().map(str::to_owned);
                match key.as_str() {
                    "index-url" => self.default.extend(words()),
                    "extra-index-url" | "find-links" => self.more.extend(words()),
                    "proxy" => self.proxies.extend(words()),
                    "no-index" => self.no_index |= is_true(&value),
                    "cert" | "client-cert" | "constraint" => {
                        words().for_each(|word| self.reads(Path::new(&word), &base))
                    }
                    _ => {}
                }
            }
        }
    }

    /// Credentials by host, as both read them.
    fn netrc(&mut self) {
        let file = self
            .var("NETRC")
            .map(|file| self.context.cwd.join(file))
            .unwrap_or_else(|| self.context.home.join(".netrc"));
        if file.is_file() {
            self.env.push(("NETRC".into(), file.clone().into()));
            self.secret.push(file.clone());
            self.read.insert(file);
        }
    }

    fn finish(mut self) -> Indexes {
        let mut addresses = Vec::new();
        let mut name = "the configured index".to_owned();
        if !self.no_index {
            match self.default.first() {
                Some(first) => {
                    name = host_port(first).map_or(name, |(host, _)| host);
                    addresses.extend(self.default.iter().cloned());
                }
                None => {
                    name = "PyPI".into();
                    addresses.push("https://pypi.org/simple".into());
                }
            }
        }
        addresses.append(&mut self.more);
        let mut hosts: Vec<(String, u16)> = Vec::new();
        let mut add = |at: Option<(String, u16)>| {
            if let Some(at) = at.filter(|at| !hosts.contains(at)) {
                hosts.push(at);
            }
        };
        for address in &addresses {
            let at = host_port(address);
            let archives = match at.as_ref().map(|(host, _)| host.as_str()) {
                Some("pypi.org") => Some("files.pythonhosted.org"),
                Some("test.pypi.org") => Some("test-files.pythonhosted.org"),
                _ => None,
            };
            add(at);
            add(archives.map(|host| (host.to_owned(), 443)));
        }
        // With a proxy nothing else is connected to, unless some hosts are excepted.
        if !self.proxies.is_empty() {
            if self.var("NO_PROXY").or_else(|| self.var("no_proxy")).is_none() {
                hosts.clear();
            }
            for proxy in &self.proxies {
                let proxy = if proxy.contains("://") { proxy.clone() } else { format!("http://{proxy}") };
                hosts.extend(host_port(&proxy).filter(|at| !hosts.contains(at)));
            }
        }
        for address in &addresses {
            let local = address.strip_prefix("file://").unwrap_or(address);
            if !local.contains("://") && local.starts_with('/') {
                let path = PathBuf::from(local);
                if path.exists() {
                    self.read.insert(path);
                }
            }
        }
        let named: Vec<&str> = hosts.iter().map(|(host, _)| host.as_str()).collect();
        let known = self.secret.iter().find(|path| knows(path, &named));
        if let Some(place) = known.map(|path| path.to_string_lossy().into_owned()) {
            self.holds_credentials(&place);
        }
        // The person's own configuration names these hosts, so they may lie in a private network.
        let rules = hosts.into_iter().map(|(host, port)| Written {
            to: destination(&host, port),
            private: true,
            ..Written::default()
        });
        let Found { env, read, secret, credentials, .. } = self;
        Indexes { env, read: read.into_iter().collect(), rules: rules.collect(), name, secret, credentials }
    }
}

/// Whether an address in a text has a user or a password in it.
fn has_password(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',')).any(|word| {
        let authority = word.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        authority.is_some_and(|authority| authority.contains('@'))
    })
}

/// Whether a netrc, or a file of uv's credentials, is about one of these hosts.
fn knows(path: &Path, hosts: &[&str]) -> bool {
    if path.is_dir() {
        let files = path.read_dir().into_iter().flatten().flatten();
        let mut texts = files.filter_map(|file| small_text(&file.path()));
        return texts.any(|text| hosts.iter().any(|host| text.contains(host)));
    }
    let Some(text) = small_text(path) else { return false };
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word == "default" || (word == "machine" && words.next().is_some_and(|host| hosts.contains(&host))) {
            return true;
        }
    }
    false
}

/// A variable that is set and not empty.
fn var<'a>(context: &'a Context, name: &str) -> Option<&'a OsStr> {
    context.env.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "t" | "y")
}

/// `NAME=URL` without the name.
fn unnamed(word: &str) -> String {
    match word.split_once('=') {
        Some((name, url)) if !name.contains(['/', ':']) => url.to_owned(),
        _ => word.to_owned(),
    }
}

/// A path of a configuration file, made absolute; addresses stay.
fn relative(text: &str, base: &Path) -> String {
    if text.contains("://") || text.starts_with('/') {
        text.to_owned()
    } else {
        base.join(text).to_string_lossy().into_owned()
    }
}

/// The `to` of a rule.
fn destination(host: &str, port: u16) -> String {
    match host {
        "localhost" | "127.0.0.1" | "::1" => format!("localhost:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// Host and port of an `http` or `https` address.
pub(super) fn host_port(address: &str) -> Option<(String, u16)> {
    let (scheme, rest) = address.trim().split_once("://")?;
    let scheme = scheme.rsplit('+').next().unwrap_or(scheme).to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        "socks5" | "socks5h" | "socks4" => 1080,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, rest.strip_prefix(':'))
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        None | Some("") => default,
        Some(port) => port.parse().ok()?,
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

/// Settings of a `pip.conf`, of whatever section: `key = value`, continued by lines that are indented.
fn ini(text: &str) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = settings.last_mut() {
                value.push('\n');
                value.push_str(bare);
            }
        } else if let Some((key, value)) = bare.split_once(['=', ':']) {
            settings.push((key.trim().to_ascii_lowercase().replace('_', "-"), value.trim().to_owned()));
        }
    }
    settings
}

fn small_text(path: &Path) -> Option<String> {
    use std::io::Read;
    let meta = path.metadata().ok().filter(|meta| meta.is_file() && meta.len() <= MAX_TEXT)?;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(meta.len()).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
