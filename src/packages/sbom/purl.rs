//! Package URLs (ECMA-427): `pkg:npm/%40scope/name@1.2.3`.

use crate::packages::Ecosystem;

/// The package URL of one version of a package.
pub(super) fn of(ecosystem: Ecosystem, name: &str, version: &str) -> String {
    let path = match ecosystem {
        Ecosystem::Npm => match name.split_once('/') {
            Some((scope, name)) => format!("npm/{}/{}", encoded(scope), encoded(name)),
            None => format!("npm/{}", encoded(name)),
        },
        // The type's own rule: small letters, and `-` for `_`.
        Ecosystem::Pypi => format!("pypi/{}", encoded(&name.to_ascii_lowercase().replace('_', "-"))),
        Ecosystem::Local => format!("generic/{}", encoded(name)),
    };
    if version.is_empty() { format!("pkg:{path}") } else { format!("pkg:{path}@{}", encoded(version)) }
}

/// Percent-encoded, but for what the specification leaves plain.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_specification_has_them() {
        for (ecosystem, name, version, purl) in [
            (Ecosystem::Npm, "foobar", "12.3.1", "pkg:npm/foobar@12.3.1"),
            (Ecosystem::Npm, "@angular/animation", "12.3.1", "pkg:npm/%40angular/animation@12.3.1"),
            (Ecosystem::Npm, "a", "1.0.0+b", "pkg:npm/a@1.0.0%2Bb"),
            (Ecosystem::Pypi, "Django_Allauth", "12.23", "pkg:pypi/django-allauth@12.23"),
            (Ecosystem::Pypi, "zope.interface", "1!2.0", "pkg:pypi/zope.interface@1%212.0"),
            (Ecosystem::Local, "my server", "", "pkg:generic/my%20server"),
            (Ecosystem::Local, "ü?#/@", "1", "pkg:generic/%C3%BC%3F%23%2F%40@1"),
        ] {
            assert_eq!(of(ecosystem, name, version), purl);
        }
    }
}
