//! `package.json` of an installed package, as it lies on the disk: what the archive says, whatever the registry said.

use super::package_lock;
use crate::packages::PackageError;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The name of the file.
pub(super) const FILE: &str = "package.json";

/// More is nobody's manifest.
const LARGEST: u64 = 4 << 20;

/// The events of an install, in their order.
const EVENTS: [&str; 3] = ["preinstall", "install", "postinstall"];

/// What npm runs for a package that has a `binding.gyp` and no script of its own.
const GYP: &str = "node-gyp rebuild";

/// What matters of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Its name as the archive has it.
    pub(super) name: String,
    /// Its version as the archive has it.
    pub(super) version: String,
    /// Its programs: names and paths as written, in their order. Empty where `directories.bin` names a directory.
    pub(super) bins: Vec<(String, String)>,
    /// `directories.bin`, where there is no `bin`.
    pub(super) bin_directory: Option<String>,
    /// The commands that an install would run, in their order.
    pub(super) scripts: Vec<String>,
    /// Its licence.
    pub(super) license: Option<String>,
}

/// Reads the manifest in a package's directory.
///
/// # Errors
/// It cannot be read, is no regular file, or is no JSON object.
pub(super) fn read(directory: &Path) -> Result<Manifest, PackageError> {
    let path = directory.join(FILE);
    let failed = |source| PackageError::io("read", &path, source);
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
    let file = file.map_err(failed)?;
    let broken = |reason: String| PackageError::Malformed { what: path.display().to_string(), reason };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(broken("it is no regular file".into()));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(broken("it is larger than 4 MiB".into()));
    }
    let gyp = directory.join("binding.gyp").symlink_metadata().is_ok();
    parse(&text, gyp).map_err(broken)
}

/// `gyp`: whether there is a `binding.gyp` beside it.
fn parse(text: &[u8], gyp: bool) -> Result<Manifest, String> {
    // npm and Node read a manifest that begins with a byte order mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let object = value.as_object().ok_or("it is no object")?;
    let member = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = member("name");
    let bins = match object.get("bin") {
        Some(Value::String(path)) => vec![(package_lock::unscoped(&name).to_owned(), path.clone())],
        Some(Value::Object(several)) => {
            several.iter().filter_map(|(name, path)| Some((bin_name(name)?, path.as_str()?.to_owned()))).collect()
        }
        _ => Vec::new(),
    };
    let bin_directory = object.get("directories").and_then(|all| all.get("bin")).and_then(Value::as_str);
    let scripts = object.get("scripts");
    let script =
        |event: &str| scripts.and_then(|all| all.get(event)).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut commands: Vec<String> = EVENTS.iter().filter_map(|event| script(event)).map(str::to_owned).collect();
    let own = script("preinstall").is_some() || script("install").is_some();
    if gyp && !own && object.get("gypfile") != Some(&Value::Bool(false)) {
        commands.insert(0, GYP.into());
    }
    Ok(Manifest {
        bin_directory: bin_directory.filter(|_| !object.contains_key("bin")).map(str::to_owned),
        version: member("version"),
        bins,
        scripts: commands,
        license: object.get("license").or_else(|| object.get("licenses")).and_then(package_lock::license),
        name,
    })
}

/// npm links a program under the last part of its name.
fn bin_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    (!last.is_empty() && last != "." && last != "..").then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes(), false).unwrap().bins
    }

    #[test]
    fn bin_is_a_string_or_a_map() {
        assert_eq!(bins(r#"{"name":"@a/b","bin":"x.js"}"#), [("b".into(), "x.js".into())]);
        assert_eq!(
            bins(r#"{"name":"b","bin":{"../../y":"y.js","..":"z","n":1,"@s/x":"x.js"}}"#),
            [("y".into(), "y.js".into()), ("x".into(), "x.js".into())]
        );
        let manifest = parse(br#"{"name":"b","directories":{"bin":"bin"}}"#, false).unwrap();
        assert_eq!((manifest.bins, manifest.bin_directory.as_deref()), (vec![], Some("bin")));
        let manifest = parse(br#"{"name":"b","bin":{},"directories":{"bin":"bin"}}"#, false).unwrap();
        assert_eq!(manifest.bin_directory, None);
    }

    #[test]
    fn scripts_are_those_of_an_install_in_their_order() {
        let text = br#"{"scripts":{"postinstall":"c","test":"t","preinstall":"a","install":"b","prepare":"p"}}"#;
        assert_eq!(parse(text, true).unwrap().scripts, ["a", "b", "c"]);
        assert_eq!(parse(br#"{"scripts":{"postinstall":"c"}}"#, true).unwrap().scripts, [GYP, "c"]);
        assert_eq!(parse(br#"{"gypfile":false,"scripts":{"postinstall":"c"}}"#, true).unwrap().scripts, ["c"]);
        assert!(parse(br#"{"scripts":"no"}"#, false).unwrap().scripts.is_empty());
    }

    #[test]
    fn a_manifest_may_begin_with_a_mark_and_must_be_an_object() {
        assert_eq!(parse(b"\xef\xbb\xbf{\"name\":\"x\"}", false).unwrap().name, "x");
        assert!(parse(b"[]", false).is_err());
        assert!(parse(b"{", false).is_err());
    }

    #[test]
    fn a_manifest_that_is_a_link_or_a_pipe_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("other"), "{}").unwrap();
        std::os::unix::fs::symlink("other", dir.path().join(FILE)).unwrap();
        assert!(read(dir.path()).is_err());
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(matches!(read(dir.path()), Err(PackageError::Malformed { .. } | PackageError::Io { .. })));
    }
}
