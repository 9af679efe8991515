//! A store in which something was changed: the server does not start, and the message names what.

use crate::Suite;
use crate::features::Feature;
use crate::fixtures::{library, notes, server};
use crate::python;
use crate::registry::Registry;
use crate::world::{Home, World, files, names};
use serde_json::json;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];

pub fn trials(suite: &mut Suite) {
    suite.add("tampered::npm", NPM, npm);
    suite.add("tampered::pypi", UV, pypi);
    suite.add("tampered::records", NPM, records);
    suite.once("tampered::index", NPM, index);
    suite.once("tampered::reinstall", NPM, reinstall);
    suite.once("tampered::reinstall_pypi", UV, reinstall_pypi);
    suite.once("tampered::approval_of_another_tree", NPM, another_tree);
    suite.once("tampered::republished", NPM, republished);
}

/// Writes into a read-only file in place, as its owner can.
pub fn write(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn writable<T>(dir: &Path, change: impl FnOnce() -> T) -> T {
    let mode = fs::metadata(dir).unwrap().permissions();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    let done = change();
    fs::set_permissions(dir, mode).unwrap();
    done
}

/// Sets access and modification times.
fn set_times(path: &Path, to: &fs::Metadata) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    let times = [
        libc::timespec { tv_sec: to.atime(), tv_nsec: to.atime_nsec() },
        libc::timespec { tv_sec: to.mtime(), tv_nsec: to.mtime_nsec() },
    ];
    let done = unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    assert_eq!(done, 0, "{}: {}", path.display(), std::io::Error::last_os_error());
}

/// The last byte is another one, and the size and all times that can be set are the same.
fn flip(path: &Path) {
    let before = fs::metadata(path).unwrap();
    let parent = path.parent().unwrap();
    let above = fs::metadata(parent).unwrap();
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    write(path, &bytes);
    set_times(path, &before);
    set_times(parent, &above);
}

/// A change to a tree, its undoing, and the path that must be named.
struct Change {
    what: &'static str,
    named: String,
    done: Box<dyn Fn()>,
    undone: Box<dyn Fn()>,
}

fn change(what: &'static str, named: &str, done: impl Fn() + 'static, undone: impl Fn() + 'static) -> Change {
    Change { what, named: named.into(), done: Box::new(done), undone: Box::new(undone) }
}

/// Changes to a tree with that file (relative to it) and that symlink, if there is one.
fn changes(tree: &Path, file: &str, link: Option<&str>) -> Vec<Change> {
    let path = tree.join(file);
    let dir = path.parent().unwrap().to_owned();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let original = fs::read(&path).unwrap();
    let (one, two, three) = (path.clone(), path.clone(), path.clone());
    let (back, again) = (original.clone(), original.clone());
    let mode = |bits: u32| {
        let path = path.clone();
        move || fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap()
    };
    let mut all = vec![
        change("byte", &name, move || flip(&one), move || flip(&two)),
        change("longer", &name, move || write(&three, &[&again[..], b"\n"].concat()), {
            let path = path.clone();
            move || write(&path, &back)
        }),
        change(
            "added",
            "added-file",
            {
                let dir = dir.clone();
                move || {
                    let before = fs::metadata(&dir).unwrap();
                    writable(&dir, || fs::write(dir.join("added-file"), "").unwrap());
                    set_times(&dir, &before);
                }
            },
            {
                let dir = dir.clone();
                move || writable(&dir, || fs::remove_file(dir.join("added-file")).unwrap())
            },
        ),
        change(
            "directory_added",
            "added-dir",
            {
                let dir = dir.clone();
                move || writable(&dir, || fs::create_dir(dir.join("added-dir")).unwrap())
            },
            {
                let dir = dir.clone();
                move || writable(&dir, || fs::remove_dir(dir.join("added-dir")).unwrap())
            },
        ),
        change(
            "removed",
            &name,
            {
                let (dir, path) = (dir.clone(), path.clone());
                move || {
                    let before = fs::metadata(&dir).unwrap();
                    writable(&dir, || fs::remove_file(&path).unwrap());
                    set_times(&dir, &before);
                }
            },
            {
                let (dir, path, original) = (dir.clone(), path.clone(), original.clone());
                move || {
                    writable(&dir, || {
                        fs::write(&path, &original).unwrap();
                        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
                    })
                }
            },
        ),
        change(
            "by_a_link",
            &name,
            {
                let (dir, path) = (dir.clone(), path.clone());
                move || {
                    writable(&dir, || {
                        fs::remove_file(&path).unwrap();
                        symlink("/etc/hostname", &path).unwrap();
                    })
                }
            },
            {
                let (dir, path, original) = (dir.clone(), path.clone(), original.clone());
                move || {
                    writable(&dir, || {
                        fs::remove_file(&path).unwrap();
                        fs::write(&path, &original).unwrap();
                        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
                    })
                }
            },
        ),
        change("writable", &name, mode(0o446), mode(0o444)),
        change("executable", &name, mode(0o555), mode(0o444)),
    ];
    for file in ["manifest", "meta/installed.json"] {
        let (one, two) = (tree.join(file), tree.join(file));
        let named = Path::new(file).file_name().unwrap().to_str().unwrap();
        all.push(change("of_the_store", named, move || flip(&one), move || flip(&two)));
    }
    if let Some(link) = link {
        let (path, target) = (tree.join(link), fs::read_link(tree.join(link)).unwrap());
        let named = path.file_name().unwrap().to_str().unwrap().to_owned();
        let redirect = |path: &Path, target: &Path| {
            let before = path.symlink_metadata().unwrap();
            let dir = path.parent().unwrap();
            writable(dir, || {
                fs::remove_file(path).unwrap();
                symlink(target, path).unwrap();
            });
            set_times(path, &before);
        };
        let back = path.clone();
        all.push(change(
            "link_redirected",
            &named,
            move || redirect(&path, Path::new("/bin/sh")),
            move || redirect(&back, &target),
        ));
    }
    all
}

fn matrix(home: &Home, name: &str, changes: &[Change]) {
    for Change { what, named, done, undone } in changes {
        home.run(name).end();
        done();
        home.refused(name).fails("store-tampered", 3, &[named]);
        let checked = home.finish(&["check", "--deep", name]);
        assert!(checked.code == Some(3) && checked.said().contains("store-tampered"), "{what}: {checked}");
        undone();
        // what is the same again is believed again
        home.try_run(name).unwrap_or_else(|ended| panic!("{what}, undone: {ended}")).end();
    }
    home.finish(&["check", "--deep", name]).ok();
}

fn npm(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let tree = home.tree("notes");
    let link = files(&tree.join("root")).into_iter().find(|path| path.is_symlink());
    let link = link.map(|path| path.strip_prefix(&tree).unwrap().to_str().unwrap().to_owned());
    matrix(&home, "notes", &changes(&tree, "root/node_modules/fixture-words/index.js", link.as_deref()));
    // a whole directory that is another one with the same names
    let dir = tree.join("root/node_modules/fixture-words");
    writable(dir.parent().unwrap(), || {
        let aside = dir.with_file_name("aside");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(&dir, &aside).unwrap();
        fs::create_dir(&dir).unwrap();
        for path in names(&aside) {
            fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
        }
        write(&dir.join("index.js"), b"exports.version = 'another'\n");
        fs::remove_dir_all(&aside).unwrap();
    });
    world.identity.own(&dir).unwrap();
    home.refused("notes").fails("store-tampered", 3, &["fixture-words"]);
}

fn pypi(world: &Arc<World>) {
    let registry = Registry::new();
    crate::fixtures::tides(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    let tree = home.tree("tides");
    let lib = names(&tree.join("root/venv/lib")).remove(0);
    let site = lib.join("site-packages").strip_prefix(&tree).unwrap().to_str().unwrap().to_owned();
    matrix(&home, "tides", &changes(&tree, &format!("{site}/fixture_tides/server.py"), Some("root/venv/bin/python")));
    // what Python runs before anything else
    let pth = tree.join(&site).join("zz.pth");
    writable(&tree.join(&site), || fs::write(&pth, "import os\n").unwrap());
    home.refused("tides").fails("store-tampered", 3, &["zz.pth"]);
    // compiled files are part of the tree
    writable(&tree.join(&site), || fs::remove_file(&pth).unwrap());
    home.run("tides").end();
    let compiled = files(&tree.join(&site)).into_iter().find(|path| path.extension().is_some_and(|end| end == "pyc"));
    let compiled = compiled.unwrap_or_else(|| panic!("nothing is compiled in {site}"));
    flip(&compiled);
    home.refused("tides").fails("store-tampered", 3, &[".pyc"]);
}

/// The record of a server, and the tree that it names.
fn records(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let record = home.data("installed/notes.json");
    let text = fs::read_to_string(&record).unwrap();
    for broken in
        ["", "{", "[]", &text.replace("\"version\": 1", "\"version\": 7").replace("\"version\":1", "\"version\":7")]
    {
        fs::write(&record, broken).unwrap();
        home.refused("notes").fails("store-record", 2, &["notes.json"]);
        assert_eq!(fs::read_to_string(&record).unwrap(), broken, "the record was written again");
    }
    // a tree that is not there
    let tree = home.tree_of(&text);
    fs::write(&record, text.replace(&tree, &"0".repeat(tree.len()))).unwrap();
    let refused = home.refused("notes");
    assert!(refused.code == Some(3) && refused.said().contains("error["), "{refused}");
    fs::remove_file(&record).unwrap();
    home.refused("notes").fails("package-not-installed", 2, &["mcpjail add notes"]);
    fs::write(&record, &text).unwrap();
    home.run("notes").end();
    // a profile that names another version
    let profile = fs::read_to_string(home.profile("notes")).unwrap();
    fs::write(home.profile("notes"), profile.replace("@1.0.0", "@1.0.1")).unwrap();
    home.refused("notes").fails("package-mismatch", 2, &["1.0.1", "1.0.0"]);
}

/// The index is only there to save time.
fn index(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let tree = home.tree("notes");
    let index = tree.join("index");
    assert!(index.exists());
    for broken in [None, Some(&b""[..]), Some(b"nonsense"), Some(&[0xff; 4096])] {
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(&index).unwrap();
        if let Some(bytes) = broken {
            fs::write(&index, bytes).unwrap();
            world.identity.own(&index).unwrap();
        }
        home.run("notes").end();
        home.run("notes").end();
    }
    // and it vouches for nothing by itself: that of the honest tree beside a changed file
    let honest = fs::read(&index).unwrap();
    flip(&tree.join("root/node_modules/fixture-words/index.js"));
    write(&index, &honest);
    home.refused("notes").fails("store-tampered", 3, &["index.js"]);
}

fn reinstall(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let mut home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let (tree, lock) = (home.tree("notes"), fs::read(home.lock("notes")).unwrap());
    // a newer version changes nothing, and neither does a registry that is gone
    crate::fixtures::newer_notes(&registry);
    drop(registry);
    let file = tree.join("root/node_modules/fixture-words/index.js");
    flip(&file);
    home.refused("notes").fails("store-tampered", 3, &["index.js", "--reinstall"]);
    home.finish(&["update", "notes", "--reinstall", "--offline"]).ok();
    assert_eq!(home.tree("notes"), tree);
    assert!(fs::read(home.lock("notes")).unwrap() == lock, "the approval changed");
    home.run("notes").end();
    home.finish(&["check", "--deep", "notes"]).ok();
    // a tree that is not there at all
    crate::world::open_up(&tree);
    fs::remove_dir_all(&tree).unwrap();
    let refused = home.refused("notes");
    refused.fails("store-missing", 3, &["--reinstall"]);
    home.finish(&["update", "notes", "--reinstall", "--offline"]).ok();
    assert_eq!(home.tree("notes"), tree);
    home.run("notes").end();
    // without what was downloaded there is nothing to repair it from
    flip(&file);
    fs::remove_dir_all(home.join(".cache/mcpjail")).unwrap();
    home.env.clear();
    let failed = home.finish(&["update", "notes", "--reinstall", "--offline"]);
    failed.fails("not-cached", 2, &["fixture-"]);
    home.refused("notes").fails("store-tampered", 3, &["index.js"]);
}

fn reinstall_pypi(world: &Arc<World>) {
    let registry = Registry::new();
    crate::fixtures::tides(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    let tree = home.tree("tides");
    drop(registry);
    let file = files(&tree.join("root")).into_iter().find(|path| path.ends_with("fixture_tides/server.py")).unwrap();
    flip(&file);
    home.refused("tides").fails("store-tampered", 3, &["server.py"]);
    home.finish(&["update", "tides", "--reinstall", "--offline"]).ok();
    assert_eq!(home.tree("tides"), tree);
    home.run("tides").end();
}

/// Two servers that differ in one byte of a file and in nothing that they show: the approval of one is none of the other.
fn another_tree(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    // the same release, other contents
    registry.unpublish("fixture-notes");
    let mut package = server("fixture-notes", "1.0.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } }));
    package.files.push(crate::archive::Entry::new("NOTE", "one more"));
    registry.npm(package);
    fs::remove_dir_all(home.join(".cache/mcpjail")).unwrap();
    home.add("other", &[], &["npx", "-y", "fixture-notes"]).ok();
    assert_ne!(home.tree("notes"), home.tree("other"));
    home.run("other").end();
    let own = fs::read(home.lock("notes")).unwrap();
    fs::copy(home.lock("other"), home.lock("notes")).unwrap();
    home.refused("notes").fails("catalog-changed", 3, &["the same release", "mcpjail approve notes"]);
    fs::write(home.lock("notes"), own).unwrap();
    home.run("notes").end();
    // and the record of one is none of the other
    let (one, two) = (home.data("installed/notes.json"), home.data("installed/other.json"));
    fs::copy(two, one).unwrap();
    home.refused("notes").fails("catalog-changed", 3, &[]);
}

/// A registry that serves another archive under a version that was added, with a hash to match.
fn republished(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let tree = home.tree("notes");
    registry.unpublish("fixture-words");
    let mut words = library("fixture-words", "1.0.0", json!({}));
    words.files.push(crate::archive::Entry::new("more.js", "// new"));
    registry.npm(words);
    let cache: PathBuf = home.join(".cache/mcpjail");
    // what runs does not change, and the lock that was kept does not accept the other archive
    home.run("notes").end();
    flip(&tree.join("root/node_modules/fixture-words/index.js"));
    fs::remove_dir_all(&cache).unwrap();
    let failed = home.finish(&["update", "notes", "--reinstall"]);
    failed.fails("integrity-mismatch", 3, &["fixture-words"]);
    home.refused("notes").fails("store-tampered", 3, &["index.js"]);
    // an update shows it as the same version with other contents, and asks
    home.finish(&["update", "notes"]).fails("no-terminal", 2, &[]);
    let words = ["update", "notes", "1.0.0", "--yes"];
    home.finish(&words).fails("contents-replaced", 1, &["fixture-words"]);
    assert_eq!(home.tree("notes"), tree);
    let updated = home.finish(&[&words[..], &["--accept-findings"]].concat()).ok();
    updated.tells(&["fixture-words"]);
    assert_ne!(home.tree("notes"), tree);
    home.run("notes").end();
}
