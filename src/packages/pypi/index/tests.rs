//! Indexes as people configure them.

use super::*;
use crate::egress::Rule;
use std::collections::BTreeMap;
use std::fs;

struct Person {
    temp: tempfile::TempDir,
    context: Context,
}

impl Person {
    fn new(env: &[(&str, &str)]) -> Person {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().to_path_buf();
        let mut env: BTreeMap<OsString, OsString> = env.iter().map(|(key, value)| (key.into(), value.into())).collect();
        env.insert("XDG_CONFIG_DIRS".into(), home.join("xdg").into());
        let context = Context { cwd: home.clone(), home, path: "/usr/bin".into(), env };
        Person { temp, context }
    }

    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn rules(&self, whose: Whose) -> Vec<String> {
        let found = read(&self.context, whose);
        for rule in &found.rules {
            assert!(rule.private && Rule::try_from(rule.clone()).is_ok(), "{rule:?}");
        }
        found.rules.into_iter().map(|rule| rule.to).collect()
    }
}

fn has_env(found: &Indexes, name: &str) -> bool {
    found.env.iter().any(|(key, _)| key == name)
}

#[test]
fn the_public_index_is_the_default() {
    let person = Person::new(&[]);
    for whose in [Whose::Uv, Whose::Pip] {
        assert_eq!(person.rules(whose), ["pypi.org:443", "files.pythonhosted.org:443"]);
    }
    assert_eq!(read(&person.context, Whose::Uv).name, "PyPI");
}

#[test]
fn uv_is_configured_by_variables_and_files() {
    let person = Person::new(&[
        ("UV_INDEX", "corp=https://me:pw@packages.corp:8443/simple https://other.example/simple"),
        ("UV_INDEX_CORP_PASSWORD", "secret"),
        ("UV_CACHE_DIR", "/elsewhere"),
        ("PIP_INDEX_URL", "https://pip.example/"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]);
    let config = person.file(
        ".config/uv/uv.toml",
        "[[index]]\nname = 'a'\nurl = 'http://127.0.0.1:3141/root/pypi'\ndefault = true\n[pip]\nfind-links = ['wheels', 'http://[fd00::1]/x']\n",
    );
    fs::create_dir(person.temp.path().join(".config/uv/wheels")).unwrap();
    let netrc = person.file(".netrc", "machine packages.corp login me password pw\n");
    let found = read(&person.context, Whose::Uv);
    assert_eq!(person.rules(Whose::Uv), ["localhost:3141", "packages.corp:8443", "other.example:443", "[fd00::1]:80"]);
    assert_eq!(found.name, "127.0.0.1");
    for path in [&config, &netrc, &person.temp.path().join(".config/uv/wheels")] {
        assert!(found.read.contains(path), "{}", path.display());
    }
    for name in ["UV_INDEX_CORP_PASSWORD", "UV_INDEX", "NETRC", "XDG_CONFIG_HOME"] {
        assert!(has_env(&found, name), "{name}");
    }
    for name in ["UV_CACHE_DIR", "PIP_INDEX_URL", "AWS_SECRET_ACCESS_KEY"] {
        assert!(!has_env(&found, name), "{name}");
    }
}

/// A build is a stranger's program: what it could read of credentials it could keep in the tree.
#[test]
fn builds_get_no_credentials() {
    let person = Person::new(&[("UV_INDEX_URL", "https://one.example/simple")]);
    let netrc = person.file(".netrc", "machine other.example login me password pw\n");
    let found = read(&person.context, Whose::Uv);
    let builds = found.of_builds();
    assert!(found.read.contains(&netrc) && has_env(&found, "NETRC") && found.credentials.is_none());
    assert!(!builds.read.contains(&netrc) && !has_env(&builds, "NETRC") && has_env(&builds, "UV_INDEX_URL"));
    assert_eq!(builds.rules, found.rules);
    let held = |person: &Person, whose| read(&person.context, whose).credentials;
    for text in ["machine one.example login me password pw", "machine x login y password z\ndefault login a"] {
        person.file(".netrc", text);
        assert!(held(&person, Whose::Uv).unwrap().ends_with(".netrc"), "{text}");
    }
    let dir = Person::new(&[]);
    dir.file(".local/share/uv/credentials/credentials.toml", "service = 'https://pypi.org/simple'");
    assert!(held(&dir, Whose::Uv).unwrap().ends_with("uv/credentials"));
    for (name, value) in [
        ("UV_INDEX_CORP_PASSWORD", "pw"),
        ("UV_INDEX", "corp=https://me:pw@one.example/simple"),
        ("HTTPS_PROXY", "http://me:pw@proxy.example:1"),
        ("UV_KEYRING_PROVIDER", "subprocess"),
        ("SSL_CLIENT_CERT", "/key.pem"),
    ] {
        assert_eq!(held(&Person::new(&[(name, value)]), Whose::Uv).as_deref(), Some(name));
    }
    let pip = Person::new(&[]);
    pip.file(".config/pip/pip.conf", "[global]\nindex-url = https://u:p@one.example/simple\n");
    assert!(held(&pip, Whose::Pip).unwrap().ends_with("pip.conf"));
    let plain = Person::new(&[("UV_INDEX", "https://one.example/@scope/simple"), ("HTTPS_PROXY", "p.example:1")]);
    assert_eq!(held(&plain, Whose::Uv), None);
}

#[test]
fn pip_is_configured_by_variables_and_files() {
    let person = Person::new(&[("PIP_EXTRA_INDEX_URL", "https://test.pypi.org/simple")]);
    let wheels = person.file("wheels/x.whl", "").parent().unwrap().to_path_buf();
    let cert = person.file("ca.pem", "");
    let config = person.file(
        ".config/pip/pip.conf",
        &format!(
            "[global]\nindex_url = https://u:p@one.example/simple\ncert: {}\n[install]\nfind-links =\n    {}\n",
            cert.display(),
            wheels.display()
        ),
    );
    let old = person.file(".pip/pip.conf", "[global]\nextra-index-url = http://two.example\n");
    let found = read(&person.context, Whose::Pip);
    assert_eq!(
        person.rules(Whose::Pip),
        ["one.example:443", "test.pypi.org:443", "test-files.pythonhosted.org:443", "two.example:80"]
    );
    for path in [&wheels, &cert, &config, &old] {
        assert!(found.read.contains(path), "{}", path.display());
    }
    assert!(has_env(&found, "PIP_CONFIG_FILE"));
}

#[test]
fn a_proxy_stands_for_all_hosts() {
    let person = Person::new(&[("HTTPS_PROXY", "http://me:pw@proxy.corp:3128"), ("all_proxy", "proxy.corp:3128")]);
    assert_eq!(person.rules(Whose::Uv), ["proxy.corp:3128"]);
    let person = Person::new(&[("HTTPS_PROXY", "http://proxy.corp:3128"), ("NO_PROXY", "pypi.org")]);
    assert_eq!(person.rules(Whose::Uv), ["pypi.org:443", "files.pythonhosted.org:443", "proxy.corp:3128"]);
}

#[test]
fn without_an_index_only_local_wheels_are_left() {
    let mut person = Person::new(&[("UV_NO_INDEX", "1")]);
    let wheels = person.file("wheels/x.whl", "").parent().unwrap().to_path_buf();
    person.context.env.insert("UV_FIND_LINKS".into(), wheels.clone().into());
    assert!(person.rules(Whose::Uv).is_empty());
    assert!(read(&person.context, Whose::Uv).read.contains(&wheels));
}

#[test]
fn addresses_are_taken_apart() {
    for (address, expected) in [
        ("https://a.example/simple", Some(("a.example", 443))),
        ("http://u:p@A.example:80/", Some(("a.example", 80))),
        ("https://u@x:p@b:1", Some(("b", 1))),
        ("http://[::1]:81/x", Some(("::1", 81))),
        ("git+https://c/x", Some(("c", 443))),
        ("file:///x", None),
        ("/x", None),
        ("https://d:99999/", None),
        ("https:///x", None),
    ] {
        assert_eq!(host_port(address), expected.map(|(host, port)| (host.to_owned(), port)), "{address}");
    }
}
