use super::*;

const HASH: &str = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

/// A lock of a project that asks for `a`, with these packages (members of `packages`, without the project).
fn lock(packages: &str) -> Result<Lock, PackageError> {
    lock_of(r#""a":"1.0.0""#, packages)
}

fn lock_of(asked: &str, packages: &str) -> Result<Lock, PackageError> {
    let packages = packages.replace("HASH", HASH);
    let text = format!(r#"{{"lockfileVersion":3,"packages":{{"":{{"dependencies":{{{asked}}}}},{packages}}}}}"#);
    read(text.as_bytes(), &["registry.npmjs.org:443".into(), "localhost:4873".into()])
}

fn from(result: Result<Lock, PackageError>) -> (String, String) {
    match result.unwrap_err() {
        PackageError::Unpinned { name, from } => (name, from),
        other => panic!("{other:?}"),
    }
}

const A: &str = r#""node_modules/a":{"version":"1.0.0","integrity":"HASH""#;

#[test]
fn a_lock_is_read() {
    let lock = lock(&format!(
        r#"{A},"resolved":"https://registry.npmjs.org/a/-/a-1.0.0.tgz","license":"MIT","dependencies":{{"b":"^1"}}}},
        "node_modules/b":{{"name":"other","version":"2.0.0","integrity":"HASH","optional":true,
            "resolved":"http://127.0.0.1:4873/other.tgz"}}"#
    ))
    .unwrap();
    assert_eq!(lock.direct.get("a").unwrap(), "1.0.0");
    let a = lock.entries.get("node_modules/a").unwrap();
    assert_eq!((a.version.as_str(), a.license.as_deref(), a.hashes.len()), ("1.0.0", Some("MIT"), 1));
    assert!(a.depends.contains("b") && !a.optional);
    let b = lock.entries.get("node_modules/b").unwrap();
    assert_eq!((b.name.as_str(), b.optional), ("other", true));
}

#[test]
fn without_urls_it_is_as_good() {
    assert!(lock(&format!("{A}}}")).is_ok());
}

#[test]
fn what_no_hash_pins_is_refused() {
    for (entry, origin) in [
        (r#""node_modules/a":{"version":"1.0.0"}"#, "an archive without a hash"),
        (r#""node_modules/a":{"version":"1.0.0","integrity":"md5-AAAA"}"#, "an archive without a hash"),
        (
            r#""node_modules/a":{"version":"1.0.0","resolved":"git+ssh://git@github.com/x/y.git#abc"}"#,
            "git+ssh://github.com/x/y.git",
        ),
        (r#""node_modules/a":{"version":"1.0.0","integrity":"HASH","resolved":"file:../a.tgz"}"#, "file:../a.tgz"),
        (
            r#""node_modules/a":{"version":"1.0.0","integrity":"HASH","resolved":"https://evil.test/a.tgz"}"#,
            "https://evil.test/a.tgz",
        ),
        // The host before an `@` is a user.
        (
            r#""node_modules/a":{"version":"1.0.0","integrity":"HASH","resolved":"https://registry.npmjs.org@evil.test/a"}"#,
            "https://evil.test/a",
        ),
        (
            r#""node_modules/a":{"version":"1.0.0","integrity":"HASH","resolved":"http://registry.npmjs.org/a.tgz"}"#,
            "http://registry.npmjs.org/a.tgz",
        ),
        (r#""node_modules/a":{"link":true,"resolved":"packages/a"}"#, "packages/a"),
    ] {
        assert_eq!(from(lock(entry)), ("a".into(), origin.into()), "{entry}");
    }
    assert_eq!(from(lock(&format!(r#"{A}}},"packages/w":{{"version":"1.0.0"}}"#))).0, "packages/w");
}

#[test]
fn a_dependency_that_is_asked_for_by_url_is_refused_though_it_has_a_hash() {
    for asked in
        ["https://registry.npmjs.org/b/-/b-1.tgz", "github:x/b", "x/b", "git+https://x/b", "file:b", "..", "~/b"]
    {
        let lock = lock(&format!(
            r#"{A},"dependencies":{{"b":"{asked}"}}}},"node_modules/b":{{"version":"1.0.0","integrity":"HASH"}}"#
        ));
        assert_eq!(from(lock), ("b".into(), asked.into()));
    }
    for asked in ["^1.0.0 || ~2", "~1", "~ 1.2", ">=1 <2", "*", "", "latest", "npm:other@1", "1.x", "v1.0.0"] {
        let lock = lock(&format!(
            r#"{A},"dependencies":{{"b":"{asked}"}}}},"node_modules/b":{{"version":"1.0.0","integrity":"HASH"}}"#
        ));
        assert!(lock.is_ok(), "{asked}");
    }
    // An optional one that could not be had is not there.
    assert!(lock(&format!(r#"{A},"optionalDependencies":{{"b":"github:x/b"}}}}"#)).is_ok());
}

#[test]
fn a_bundled_package_is_pinned_by_the_archive_it_came_in() {
    let bundled = r#""node_modules/a/node_modules/b":{"version":"1.0.0","inBundle":true}"#;
    let deeper = r#""node_modules/a/node_modules/b/node_modules/c":{"version":"1.0.0","inBundle":true}"#;
    let lock_ok = lock(&format!("{A}}},{bundled},{deeper}")).unwrap();
    assert_eq!(lock_ok.entries.get("node_modules/a/node_modules/b").unwrap().hashes, []);
    // Nothing above it has an archive.
    assert_eq!(from(lock(&format!(r#"{A}}},"node_modules/b":{{"version":"1.0.0","inBundle":true}}"#))).0, "b");
    assert_eq!(from(lock(deeper)).0, "c");
    // One that says nothing of a bundle needs its own hash.
    assert_eq!(from(lock(&format!(r#"{A}}},"node_modules/a/node_modules/b":{{"version":"1.0.0"}}"#))).0, "b");
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in [
        "../a",
        "/etc",
        "node_modules/../../a",
        "node_modules/..",
        "node_modules/.",
        "node_modules/a/../b",
        "node_modules/@a",
        "node_modules/a/b",
        "node_modules/a/node_modules",
        "node_modules//a",
        "node_modules/.bin",
        "node_modules/a\\u0000",
        "node_modules/-a",
    ] {
        let entry = format!(r#""{path}":{{"version":"1.0.0","integrity":"HASH"}}"#);
        assert!(matches!(lock(&entry), Err(PackageError::Unpinned { .. })), "{path}");
    }
    let alias = r#""node_modules/a":{"name":"../../x","version":"1.0.0","integrity":"HASH"}"#;
    assert!(matches!(lock(alias), Err(PackageError::Malformed { .. })));
}

#[test]
fn locks_that_can_be_read_in_two_ways_and_old_ones_are_refused() {
    let twice = format!("{A}}},{A}}}");
    assert!(matches!(lock(&twice), Err(PackageError::Malformed { .. })));
    for text in [
        r#"{"lockfileVersion":1,"dependencies":{}}"#,
        r#"{"lockfileVersion":4,"packages":{"":{}}}"#,
        r#"{"lockfileVersion":3,"packages":{}}"#,
        r#"{"lockfileVersion":3,"packages":{"":{}}}"#,
        "[]",
        "{",
    ] {
        assert!(matches!(read(text.as_bytes(), &[]), Err(PackageError::Malformed { .. })), "{text}");
    }
}

#[test]
fn names_are_found_as_node_finds_them() {
    let there = ["node_modules/a", "node_modules/@s/b", "node_modules/a/node_modules/@s/b"];
    let find = |path: &str, name: &str| locate(path, name, |path| there.contains(&path));
    assert_eq!(find("node_modules/a", "@s/b").as_deref(), Some("node_modules/a/node_modules/@s/b"));
    assert_eq!(find("node_modules/c/node_modules/d", "@s/b").as_deref(), Some("node_modules/@s/b"));
    assert_eq!(find("node_modules/@s/b", "a").as_deref(), Some("node_modules/a"));
    assert_eq!(find("", "a").as_deref(), Some("node_modules/a"));
    assert_eq!(find("node_modules/a", "gone"), None);
}

#[test]
fn origins() {
    for (url, expected) in [
        ("https://Registry.npmjs.org/x", Some("registry.npmjs.org:443")),
        ("https://u:p@host.test:8443/x", Some("host.test:8443")),
        ("http://[::1]:4873", Some("localhost:4873")),
        ("http://127.9.9.9/", Some("localhost:80")),
        ("http://localhost:1/", Some("localhost:1")),
        ("https://[2001:db8::1]/", Some("[2001:db8::1]:443")),
        ("https://evil.test\\@registry.npmjs.org/", Some("evil.test:443")),
        ("ssh://host/", None),
        ("https:///x", None),
        ("https://host:99999/", None),
        ("host", None),
    ] {
        assert_eq!(origin(url).as_deref(), expected, "{url}");
    }
}

#[test]
fn secrets_do_not_stay_in_a_lock() {
    let lock = |url: &str| {
        format!(r#"{{"lockfileVersion":3,"packages":{{"node_modules/a":{{"resolved":"{url}","version":"1"}}}}}}"#)
    };
    let plain = lock("https://host/a.tgz").into_bytes();
    assert_eq!(scrubbed(plain.clone()).unwrap(), plain);
    for url in ["https://user:secret@host/a.tgz", "https://host/a.tgz?token=secret"] {
        let text = String::from_utf8(scrubbed(lock(url).into_bytes()).unwrap()).unwrap();
        assert!(!text.contains("secret") && text.contains("\"version\": \"1\""), "{text}");
    }
}

#[test]
fn what_may_be_absent() {
    for (member, expected) in
        [("optional", true), ("peer", true), ("devOptional", true), ("extraneous", true), ("dev", false)]
    {
        let lock = lock(&format!(r#"{A},"{member}":true}}"#)).unwrap();
        assert_eq!(lock.entries.get("node_modules/a").unwrap().optional, expected, "{member}");
    }
}

proptest::proptest! {
    /// Whatever a registry makes of a lock: it is read or refused, and what is read lies in the tree and is pinned.
    #[test]
    fn a_changed_lock_is_refused_or_safe(at in 0_usize..400, cut in 0_usize..20, put in r#"[{}\[\]":,/.@a-z0-9-]{0,16}"#) {
        let text = format!(
            r#"{{"lockfileVersion":3,"packages":{{"":{{"dependencies":{{"a":"1.0.0"}}}},
               "node_modules/a":{{"version":"1.0.0","resolved":"https://registry.npmjs.org/a/-/a-1.0.0.tgz","integrity":"{HASH}"}},
               "node_modules/a/node_modules/b":{{"version":"1.0.0","inBundle":true}}}}}}"#
        );
        let at = at % text.len();
        let end = text.len().min(at + cut);
        let changed = [text.get(..at).unwrap(), &put, text.get(end..).unwrap()].concat();
        if let Ok(lock) = read(changed.as_bytes(), &["registry.npmjs.org:443".into()]) {
            for (path, entry) in &lock.entries {
                let plain = |part: &str| !["", ".", ".."].contains(&part);
                proptest::prop_assert!(path.starts_with("node_modules/") && path.split('/').all(plain), "{}", path);
                proptest::prop_assert!(is_name(&entry.name) && is_name(&entry.archive));
                let within = path.matches("node_modules/").count() > 1;
                proptest::prop_assert!(!entry.hashes.is_empty() || within, "{}", path);
            }
        }
    }
}
