//! What is installed in an environment: its `*.dist-info` directories. Everything in them was written by strangers.
//!
//! Source: the core metadata specification, the recording of installed projects and the entry points specification of
//! packaging.python.org.

use super::super::{Component, PackageError};
use super::requirements::{Lock, is_name, normal};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of one file of metadata that are read.
const MAX_TEXT: u64 = 16 << 20;

/// One installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    /// Its name as it spells it.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Its licence as it states it.
    pub(super) license: Option<String>,
    /// What it depends on: a normalised name, and the extra that asks for it, if one does.
    pub(super) requires: Vec<(String, Option<String>)>,
    /// Programs of its entry points: name and whether it is one of a console.
    pub(super) entry_points: Vec<(String, bool)>,
    /// Files that it brought, relative to the directory of packages.
    pub(super) record: Vec<String>,
    /// Its directory of metadata.
    pub(super) info: PathBuf,
}

/// All packages in directories of packages, by normalised name.
///
/// # Errors
/// [`PackageError::Malformed`] where a package is there twice, or its metadata cannot be read.
pub(super) fn read(directories: &[PathBuf]) -> Result<BTreeMap<String, Distribution>, PackageError> {
    let mut found = BTreeMap::new();
    for directory in directories {
        let entries = directory.read_dir().map_err(|error| PackageError::io("read", directory.clone(), error))?;
        for entry in entries {
            let entry = entry.map_err(|error| PackageError::io("read", directory.clone(), error))?;
            let name = entry.file_name();
            let kind = entry.file_type().map_err(|error| PackageError::io("read", entry.path(), error))?;
            if !name.to_str().is_some_and(|name| name.ends_with(".dist-info")) {
                continue;
            }
            if !kind.is_dir() {
                return Err(malformed(&name.to_string_lossy(), "it is no directory"));
            }
            let distribution = distribution(entry.path())?;
            let key = normal(&distribution.name);
            if found.insert(key, distribution).is_some() {
                return Err(malformed(&name.to_string_lossy(), "the same package is there twice"));
            }
        }
    }
    Ok(found)
}

fn distribution(info: PathBuf) -> Result<Distribution, PackageError> {
    let shown = info.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let metadata = text(&info.join("METADATA"))?.ok_or_else(|| malformed(&shown, "it has no METADATA"))?;
    let mut found = Distribution { info: info.clone(), ..Distribution::default() };
    let mut classifiers = Vec::new();
    let mut license = None;
    for (key, value) in headers(&metadata) {
        match key.as_str() {
            "name" if found.name.is_empty() => found.name = value,
            "version" if found.version.is_empty() => found.version = value,
            "license-expression" if !value.is_empty() => found.license = Some(value),
            // The whole text of a licence stands there at times.
            "license" if !value.is_empty() && value.len() <= 100 && !value.contains('\n') => license = Some(value),
            "classifier" => classifiers.push(value),
            "requires-dist" => found.requires.extend(requirement(&value)),
            _ => {}
        }
    }
    if !is_name(&found.name) || found.version.is_empty() {
        return Err(malformed(&shown, "its METADATA has no name or no version"));
    }
    let unknown = |text: &String| text.eq_ignore_ascii_case("unknown");
    let classified = || {
        let last = |text: &String| {
            text.strip_prefix("License :: ").and_then(|rest| rest.rsplit(" :: ").next().map(str::to_owned))
        };
        classifiers.iter().find_map(last).filter(|text| text != "OSI Approved")
    };
    found.license = found.license.take().or_else(|| license.filter(|text| !unknown(text))).or_else(classified);
    if let Some(points) = text(&info.join("entry_points.txt"))? {
        found.entry_points = entry_points(&points);
    }
    if let Some(record) = text(&info.join("RECORD"))? {
        found.record = record.lines().filter_map(record_path).collect();
    }
    Ok(found)
}

/// The fields of a header as e-mail has them; the body below the first empty line is left out.
fn headers(metadata: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in metadata.lines() {
        if line.trim().is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

/// The name of a `Requires-Dist`, and the extra in its marker.
fn requirement(value: &str) -> Option<(String, Option<String>)> {
    let (head, marker) = value.split_once(';').unwrap_or((value, ""));
    let end = head.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(head.len());
    let name = head.get(..end)?.trim();
    let extra = marker.split("extra").nth(1).and_then(|rest| {
        let rest = rest.trim_start().strip_prefix("==")?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest.get(1..)?.split(quote).next().map(normal)
    });
    is_name(name).then(|| (normal(name), extra))
}

/// The programs of an `entry_points.txt`.
fn entry_points(text: &str) -> Vec<(String, bool)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if line.starts_with(['#', ';']) {
        } else if let Some((name, _)) = line.split_once('=') {
            match section {
                "console_scripts" => found.push((name.trim().to_owned(), true)),
                "gui_scripts" => found.push((name.trim().to_owned(), false)),
                _ => {}
            }
        }
    }
    found
}

/// The first field of a line of a `RECORD`, which is CSV.
pub(super) fn record_path(line: &str) -> Option<String> {
    let path = match line.strip_prefix('"') {
        None => line.split(',').next()?.to_owned(),
        Some(rest) => {
            let mut path = String::new();
            let mut chars = rest.chars().peekable();
            while let Some(c) = chars.next() {
                if c != '"' {
                    path.push(c);
                } else if chars.next_if_eq(&'"').is_some() {
                    path.push('"');
                } else {
                    break;
                }
            }
            path
        }
    };
    (!path.is_empty()).then_some(path)
}

/// The packages as components, the server's own first, then by name and version.
///
/// # Errors
/// [`PackageError::Malformed`] where what is installed is not what the lock pins.
pub(super) fn components(
    installed: &BTreeMap<String, Distribution>,
    lock: &Lock,
    main: &str,
) -> Result<Vec<Component>, PackageError> {
    for pin in lock.pins().filter(|pin| pin.marker.is_empty()) {
        if !installed.contains_key(&pin.name) {
            return Err(malformed(&pin.name, "the lock pins it, and it is not installed"));
        }
    }
    let main = normal(main);
    let mut order: Vec<&String> = installed.keys().collect();
    order.sort_by_key(|key| **key != main);
    let places: BTreeMap<&String, usize> = order.iter().enumerate().map(|(at, key)| (*key, at)).collect();
    let mut components = Vec::new();
    for key in order {
        let Some(distribution) = installed.get(key) else { continue };
        let Some(pin) = lock.get(key).filter(|pin| same_version(&pin.version, &distribution.version)) else {
            return Err(malformed(&distribution.name, "it is installed, and the lock does not pin it"));
        };
        let wanted = |extra: &Option<String>| extra.as_ref().is_none_or(|extra| pin.extras.contains(extra));
        let depends: BTreeSet<usize> = distribution
            .requires
            .iter()
            .filter(|(name, extra)| name != key && wanted(extra))
            .filter_map(|(name, _)| places.get(name).copied())
            .collect();
        components.push(Component {
            name: distribution.name.clone(),
            version: distribution.version.clone(),
            hashes: pin.hashes.clone(),
            license: distribution.license.clone(),
            depends: depends.into_iter().collect(),
        });
    }
    Ok(components)
}

/// Versions that differ only in how they are written: `1.0.0-RC1` and `1.0rc1` (PEP 440).
fn same_version(one: &str, other: &str) -> bool {
    let plain = |version: &str| {
        let version = version.trim().trim_start_matches(['v', 'V']).to_ascii_lowercase();
        let (public, local) = version.split_once('+').unwrap_or((&version, ""));
        let mut text: String = public.chars().filter(|c| !matches!(c, '-' | '_')).collect();
        for (long, short) in [("alpha", "a"), ("beta", "b"), ("preview", "rc"), ("pre", "rc")] {
            text = text.replace(long, short);
        }
        while let Some(rest) = text.strip_suffix(".0") {
            text = rest.to_owned();
        }
        (text.replace(".post", "post").replace(".dev", "dev").replace(".rc", "rc"), local.replace(['-', '_'], "."))
    };
    plain(one) == plain(other)
}

/// `.pth` files whose lines are executed whenever Python starts, by name.
pub(super) fn startup_files(directory: &Path) -> Vec<String> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pth"))
        .filter(|entry| {
            let text = text(&entry.path()).ok().flatten().unwrap_or_default();
            text.lines().any(|line| line.starts_with("import ") || line.starts_with("import\t"))
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// A small text; `None` where it is absent. Never follows a symlink.
fn text(path: &Path) -> Result<Option<String>, PackageError> {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PackageError::io("read", path, error)),
    };
    let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !meta.is_file() || meta.len() > MAX_TEXT {
        return Err(malformed(&shown, "it is no file of a usual size"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| PackageError::io("read", path, error))?;
    file.take(MAX_TEXT).read_to_end(&mut bytes).map_err(|error| PackageError::io("read", path, error))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn malformed(what: &str, reason: &str) -> PackageError {
    PackageError::Malformed { what: what.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::super::requirements::{hash, pinned};
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(site: &Path, name: &str, version: &str, more: &str) -> PathBuf {
        let info = site.join(format!("{}-{version}.dist-info", name.replace('-', "_")));
        fs::create_dir_all(&info).unwrap();
        fs::write(
            info.join("METADATA"),
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\n\nName: body\n"),
        )
        .unwrap();
        info
    }

    fn lock(pins: &[(&str, &str, &[&str])]) -> Lock {
        let mut lock = Lock::default();
        for (name, version, extras) in pins {
            let extras: Vec<String> = extras.iter().map(|extra| (*extra).to_owned()).collect();
            let hashes = vec![hash(&format!("sha256:{}", "a".repeat(64))).unwrap()];
            lock.add(pinned(name, &extras, version, "", hashes).unwrap()).unwrap();
        }
        lock
    }

    #[test]
    fn components_know_their_parts() {
        let temp = tempfile::tempdir().unwrap();
        let site = temp.path();
        put(
            site,
            "Server",
            "1.0",
            "License-Expression: MIT\nRequires-Dist: B_b>=1\nRequires-Dist: c[x]; extra == 'fast'\nRequires-Dist: d ; python_version < '3'\n\
             Requires-Dist: e; sys_platform == 'linux' and extra == \"Other\"",
        );
        put(site, "b-b", "2.0.0", "License: Apache\nRequires-Dist: server");
        put(site, "c", "3", "Classifier: License :: OSI Approved :: BSD License\nLicense: long\n  text");
        put(site, "e", "4", "License: UNKNOWN");
        let installed = read(&[site.to_path_buf()]).unwrap();
        let lock = lock(&[("server", "1.0", &["fast"]), ("b-b", "2.0.0", &[]), ("c", "3", &[]), ("e", "4", &[])]);
        let got = components(&installed, &lock, "SERVER").unwrap();
        let names: Vec<&str> = got.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["Server", "b-b", "c", "e"]);
        assert_eq!(got[0].depends, [1, 2], "the extra `other` was not asked for, `d` is not installed");
        assert_eq!(got[1].depends, [0]);
        let licenses: Vec<Option<&str>> = got.iter().map(|component| component.license.as_deref()).collect();
        assert_eq!(licenses, [Some("MIT"), Some("Apache"), Some("BSD License"), None]);
    }

    #[test]
    fn what_is_installed_is_what_the_lock_pins() {
        let temp = tempfile::tempdir().unwrap();
        let site = temp.path().to_path_buf();
        put(&site, "server", "1.0", "");
        let installed = read(std::slice::from_ref(&site)).unwrap();
        assert!(components(&installed, &lock(&[("server", "1.0", &[])]), "server").is_ok());
        assert!(components(&installed, &lock(&[("server", "1.1", &[])]), "server").is_err());
        assert!(components(&installed, &lock(&[("server", "1.0", &[]), ("b", "1", &[])]), "server").is_err());
        assert!(components(&installed, &lock(&[("other", "1.0", &[])]), "server").is_err());
        // A wheel that brings the metadata of another package.
        put(&site, "mcp", "9", "");
        let installed = read(std::slice::from_ref(&site)).unwrap();
        assert!(components(&installed, &lock(&[("server", "1.0", &[])]), "server").is_err());
        put(&site, "SERVER", "2.0", "");
        assert!(read(&[site]).is_err(), "the same name twice");
    }

    #[test]
    fn hostile_metadata_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let site = temp.path().to_path_buf();
        let info = put(&site, "server", "1.0", "");
        fs::remove_file(info.join("METADATA")).unwrap();
        symlink("/etc/passwd", info.join("METADATA")).unwrap();
        assert!(read(std::slice::from_ref(&site)).is_err());
        fs::remove_file(info.join("METADATA")).unwrap();
        assert!(read(std::slice::from_ref(&site)).is_err());
        fs::write(info.join("METADATA"), "Name: ../x\nVersion: 1\n").unwrap();
        assert!(read(std::slice::from_ref(&site)).is_err());
        fs::write(info.join("METADATA"), b"Name: x\xff\nVersion: 1\n").unwrap();
        assert!(read(&[site]).is_err());
    }

    #[test]
    fn entry_points_are_programs_only() {
        let points = entry_points(
            "[console_scripts]\na-b = x:main [extra]\n# c = y:z\n\n[gui_scripts]\ng=x:g\n[mcp.plugins]\np = q\n",
        );
        assert_eq!(points, [("a-b".to_owned(), true), ("g".to_owned(), false)]);
    }

    #[test]
    fn records_are_csv() {
        assert_eq!(record_path("../../../bin/x,sha256=a,1").as_deref(), Some("../../../bin/x"));
        assert_eq!(record_path("\"a, \"\"b\"\"\",,").as_deref(), Some("a, \"b\""));
        assert_eq!(record_path(""), None);
    }

    #[test]
    fn versions_are_compared_as_they_are_meant() {
        for (one, other) in [
            ("1.0", "1.0.0"),
            ("1.0-rc1", "1.0rc1"),
            ("0.0.1a7", "0.0.1.a7"),
            ("1.0+cu-1", "1+cu.1"),
            ("2.0.post1", "2.0post1"),
        ] {
            let expected = one != "0.0.1a7";
            assert_eq!(same_version(one, other), expected, "{one} {other}");
        }
        for (one, other) in [("1.0", "1.1"), ("1.0", "10"), ("1.0a1", "1.0b1"), ("1", "1.post1")] {
            assert!(!same_version(one, other), "{one} {other}");
        }
    }

    #[test]
    fn files_that_run_at_every_start_are_known() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("a.pth"), "import os; os.system('x')\n").unwrap();
        fs::write(temp.path().join("b.pth"), "../src\n# import\n").unwrap();
        fs::write(temp.path().join("c.txt"), "import os\n").unwrap();
        assert_eq!(startup_files(temp.path()), ["a.pth"]);
    }
}
