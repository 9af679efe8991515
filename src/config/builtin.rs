//! The profiles that are compiled in, from `profiles/` at the repository's root.

use super::Source;
use super::document::Document;

const ALL: &[(&str, &str)] = &[
    ("default", include_str!("../../profiles/default.toml")),
    ("install", include_str!("../../profiles/install.toml")),
    ("native", include_str!("../../profiles/native.toml")),
    ("node", include_str!("../../profiles/node.toml")),
    ("python", include_str!("../../profiles/python.toml")),
    ("trust-community", include_str!("../../profiles/trust-community.toml")),
    ("trust-first-party", include_str!("../../profiles/trust-first-party.toml")),
    ("trust-vetted", include_str!("../../profiles/trust-vetted.toml")),
];

/// Names of the built-in profiles, sorted.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The text of a built-in profile.
pub fn builtin_text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A built-in profile as a document.
pub(super) fn document(name: &str) -> Option<Document> {
    builtin_text(name).map(|text| Document::new(Source::BuiltIn(name.to_owned()), text))
}

#[cfg(test)]
mod tests {
    use super::super::raw::RawProfile;
    use super::super::schema::{PROFILE, parse};
    use super::*;

    #[test]
    fn each_parses_and_says_why_on_every_line() {
        for name in builtin_names() {
            let document = document(name).unwrap();
            let raw = parse::<RawProfile>(&document, PROFILE, |raw| raw.version.as_ref()).unwrap();
            assert!(raw.command.is_none() && raw.uses.is_none(), "{name}");
            assert!(document.text.starts_with("# "), "{name} does not say what it is");
        }
    }

    #[test]
    fn no_built_in_profile_grants_writing_or_danger() {
        for name in builtin_names() {
            let document = document(name).unwrap();
            let files = parse::<RawProfile>(&document, PROFILE, |raw| raw.version.as_ref()).unwrap().jail.files;
            assert!(files.write.is_empty() && files.list.is_empty(), "{name}");
            assert!(files.read.iter().chain(&files.exec).all(|path| !path.get_ref().dangerous), "{name}");
            for path in files.read.iter().chain(&files.exec) {
                let path = path.get_ref();
                assert!(path.optional || path.path == "/usr", "{name}: {} is not on every system", path.path);
                assert!(!path.path.starts_with("/proc") && !path.path.starts_with("/dev"), "{name}");
            }
        }
    }
}
