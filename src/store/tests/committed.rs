//! Records, claims, and files that change together.

use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

fn write(path: &Path, text: &str) -> Change {
    Change::Write { path: path.to_path_buf(), text: text.into() }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let world = World::new();
    let (now, before) = (Digest::of_bytes(b"now"), Digest::of_bytes(b"before"));
    let record = record("one", now, Some(before));
    write_record(&world.store, &record, "one");
    assert_eq!(world.store.installed("one").unwrap().unwrap(), record);
    assert_eq!(world.store.installed("two").unwrap(), None);
    assert_eq!(world.store.names(), ["one"]);
    assert_eq!(world.store.record_path("one").metadata().unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn no_record_is_made_up() {
    let world = World::new();
    let good = serde_json::to_string(&record("one", Digest::of_bytes(b"x"), None)).unwrap();
    write_record(&world.store, &record("one", Digest::of_bytes(b"x"), None), "one");
    let path = world.store.record_path("one");
    for bad in [
        String::new(),
        "null".into(),
        good[..good.len() - 1].into(),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("\"version\"", "\"more\":0,\"version\""),
        good.replace("sha256:", "sha512:"),
    ] {
        fs::write(&path, &bad).unwrap();
        let error = world.store.installed("one").unwrap_err();
        assert!(matches!(error, StoreError::BadRecord { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, &good).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o606)).unwrap();
    assert!(matches!(world.store.installed("one"), Err(StoreError::BadRecord { .. })));
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(world.store.installed("one"), Err(StoreError::BadRecord { .. })));
}

#[test]
fn names_are_names() {
    let world = World::new();
    for name in ["../x", "", ".x", "a/b", "A", "x\0"] {
        assert!(world.store.claim(name).is_err(), "{name:?}");
        assert_eq!(world.store.installed(name).unwrap(), None);
    }
    // The lock before of `x` is no record of `x.before`.
    write_record(&world.store, &record("x", Digest::of_bytes(b"x"), None), "x");
    fs::write(world.store.before_lock_path("x"), "{}").unwrap();
    assert_eq!(world.store.names(), ["x"]);
    assert_ne!(world.store.record_path("x.before.lock"), world.store.before_lock_path("x"));
}

#[test]
fn one_claims_a_name() {
    let world = World::new();
    let claim = world.store.claim("one").unwrap();
    assert!(matches!(world.store.claim("one"), Err(StoreError::Busy { name }) if name == "one"));
    let _other = world.store.claim("two").unwrap();
    drop(claim);
    let _claim = world.store.claim("one").unwrap();
}

#[test]
fn files_change_together() {
    let world = World::new();
    let config = world.dir.path().join("config/deep/servers/one.toml");
    let odd = world.dir.path().join(OsStr::from_bytes(b"odd \xff\n"));
    let gone = world.dir.path().join("gone");
    fs::write(&gone, "x").unwrap();
    let claim = world.store.claim("one").unwrap();
    let changes = [
        write(&config, "profile"),
        write(&odd, "\u{0}\u{1f980}"),
        Change::Remove { path: gone.clone() },
        write(&config, "last"),
    ];
    world.store.commit(&claim, &changes).unwrap();
    assert_eq!(fs::read_to_string(&config).unwrap(), "last");
    assert_eq!(fs::read_to_string(&odd).unwrap(), "\u{0}\u{1f980}");
    assert!(!gone.exists());
    assert!(!world.store.journal_path("one").exists());
    assert_eq!(config.parent().unwrap().read_dir().unwrap().count(), 1, "no draft stays");
    world.store.commit(&claim, &[Change::Remove { path: gone }]).unwrap();
}

/// What cannot be done is found before anything is.
#[test]
fn nothing_changes_when_something_cannot() {
    let world = World::new();
    let (first, target) = (world.dir.path().join("first"), world.dir.path().join("target"));
    fs::write(&target, "precious").unwrap();
    let claim = world.store.claim("one").unwrap();
    let link = world.dir.path().join("link");
    symlink(&target, &link).unwrap();
    for bad in [&link, world.dir.path(), &target.join("below/a/file"), Path::new("relative"), Path::new("/proc/none/x")]
    {
        assert!(world.store.commit(&claim, &[write(&first, "x"), write(bad, "x")]).is_err(), "{bad:?}");
        let up = world.dir.path().join("installed/../up");
        assert!(world.store.commit(&claim, &[write(&first, "x"), write(&up, "x")]).is_err());
        assert!(!first.exists() && !world.store.journal_path("one").exists());
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

/// A journal that is there decides, whoever looks first.
#[test]
fn an_interrupted_commit_is_carried_out() {
    let world = World::new();
    let profile = world.dir.path().join("servers/one.toml");
    let new = record("one", Digest::of_bytes(b"new"), None);
    let journal = serde_json::json!({"version": 1, "changes": [
        {"path": world.store.record_path("one"), "text": serde_json::to_string(&new).unwrap()},
        {"path": profile, "text": "package"},
    ]});
    let put = |text: &str, mode| {
        fs::create_dir_all(world.store.installed_dir()).unwrap();
        fs::write(world.store.journal_path("one"), text).unwrap();
        fs::set_permissions(world.store.journal_path("one"), Permissions::from_mode(mode)).unwrap();
    };
    for reader in [true, false] {
        let _absent = fs::remove_file(&profile);
        write_record(&world.store, &record("one", Digest::of_bytes(b"old"), None), "one");
        put(&journal.to_string(), 0o600);
        let draft = world.store.installed_dir().join(".one.json.1234.new");
        fs::write(&draft, "half").unwrap();
        assert_eq!(world.store.names(), ["one"]);
        if reader {
            assert_eq!(world.store.installed("one").unwrap().unwrap(), new);
        } else {
            let _claim = world.store.claim("one").unwrap();
        }
        assert_eq!(fs::read_to_string(&profile).unwrap(), "package");
        assert!(!world.store.journal_path("one").exists() && !draft.exists());
        assert_eq!(world.store.installed("one").unwrap().unwrap(), new);
    }
    // One that others could have written, or that is none, is not believed and not thrown away.
    let relative = journal.to_string().replace(profile.to_str().unwrap(), "/x/../../etc/cron.d/x");
    for (text, mode) in [
        (journal.to_string(), 0o644),
        (journal.to_string(), 0o660),
        (relative, 0o600),
        (journal.to_string().replace("\"version\":1", "\"version\":9"), 0o600),
        ("{".into(), 0o600),
    ] {
        fs::remove_file(&profile).unwrap_or_default();
        put(&text, mode);
        assert!(matches!(world.store.installed("one"), Err(StoreError::BadRecord { .. })), "{text}");
        assert!(matches!(world.store.claim("one"), Err(StoreError::BadRecord { .. })));
        assert!(!profile.exists() && world.store.journal_path("one").exists());
    }
}

/// A reader waits for a commit that is under way, and then has all of it.
#[test]
fn a_reader_waits() {
    let world = World::new();
    let old = record("one", Digest::of_bytes(b"old"), None);
    let new = record("one", Digest::of_bytes(b"new"), Some(Digest::of_bytes(b"old")));
    write_record(&world.store, &old, "one");
    let claim = world.store.claim("one").unwrap();
    let text = serde_json::to_string(&new).unwrap();
    // The journal has its name; its files are not written yet.
    let journal =
        serde_json::json!({"version": 1, "changes": [{"path": world.store.record_path("one"), "text": text}]});
    commit::replace(&world.store.journal_path("one"), journal.to_string().as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| world.store.installed("one").unwrap().unwrap())).collect();
        drop(claim);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), new);
        }
    });
}
