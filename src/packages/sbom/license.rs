//! Licences as CycloneDX has them: an identifier of SPDX, an expression of such, or a name.

use serde::Serialize;

/// One element of `licenses`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum License {
    /// `{ "license": { "id": "MIT" } }`
    License(Named),
    /// `{ "expression": "MIT OR Apache-2.0" }`
    Expression(String),
}

/// An identifier or a name.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Named {
    /// One of SPDX's list.
    Id(String),
    /// Anything else.
    Name(String),
}

/// The longest name, characters: some packages put the whole text of the licence in its place.
const LONGEST: usize = 120;

/// The identifiers of SPDX that packages name; others stand as names, since the schema takes none that it does not know.
const IDS: &[&str] = &[
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "AGPL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-1.0",
    "Artistic-2.0",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-4-Clause",
    "BSL-1.0",
    "BUSL-1.1",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "CPL-1.0",
    "ECL-2.0",
    "Elastic-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ISC",
    "JSON",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "ODC-By-1.0",
    "OFL-1.1",
    "OpenSSL",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "Python-2.0.1",
    "SSPL-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "UPL-1.0",
    "W3C",
    "WTFPL",
    "X11",
    "Zlib",
    "ZPL-2.1",
];

/// Exceptions that may stand behind `WITH`.
const EXCEPTIONS: &[&str] =
    &["Classpath-exception-2.0", "GCC-exception-3.1", "LLVM-exception", "Autoconf-exception-3.0"];

fn id(word: &str) -> Option<&'static str> {
    IDS.iter().find(|known| known.eq_ignore_ascii_case(word)).copied()
}

impl License {
    /// What a package states; `None` where that is nothing.
    pub(super) fn of(stated: &str) -> Option<License> {
        let stated = stated.trim();
        let line = stated.lines().next().unwrap_or_default().trim();
        if line.is_empty() {
            return None;
        }
        if let Some(id) = id(stated) {
            return Some(License::License(Named::Id(id.to_owned())));
        }
        if let Some(expression) = expression(stated) {
            return Some(License::Expression(expression));
        }
        let name: String = line.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        Some(License::License(Named::Name(name)))
    }
}

/// An expression of SPDX whose every identifier is known, in its regular spelling.
fn expression(text: &str) -> Option<String> {
    if text.len() > 1000 {
        return None;
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut out, mut depth, mut operand, mut with) = (String::new(), 0_usize, true, false);
    for word in spaced.split_whitespace() {
        let piece = match word {
            "(" if operand && !with => {
                depth += 1;
                "(".to_owned()
            }
            ")" if !operand => {
                depth = depth.checked_sub(1)?;
                ")".to_owned()
            }
            "AND" | "OR" if !operand => {
                operand = true;
                format!(" {word} ")
            }
            "WITH" if !operand => {
                (operand, with) = (true, true);
                " WITH ".to_owned()
            }
            word if operand && with => {
                (operand, with) = (false, false);
                EXCEPTIONS.iter().find(|known| known.eq_ignore_ascii_case(word))?.to_string()
            }
            word if operand => {
                operand = false;
                match (id(word), word.strip_suffix('+').and_then(id)) {
                    (Some(id), _) => id.to_owned(),
                    (None, Some(id)) => format!("{id}+"),
                    (None, None) => return None,
                }
            }
            _ => return None,
        };
        out.push_str(&piece);
    }
    (depth == 0 && !operand).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_expressions_and_names() {
        let id = |text: &str| Some(License::License(Named::Id(text.into())));
        let name = |text: &str| Some(License::License(Named::Name(text.into())));
        let expression = |text: &str| Some(License::Expression(text.into()));
        for (stated, license) in [
            ("MIT", id("MIT")),
            (" mit ", id("MIT")),
            ("apache-2.0", id("Apache-2.0")),
            ("MIT OR Apache-2.0", expression("MIT OR Apache-2.0")),
            ("(MIT OR  CC0-1.0)", expression("(MIT OR CC0-1.0)")),
            ("(MIT AND (ISC OR Zlib))", expression("(MIT AND (ISC OR Zlib))")),
            ("GPL-2.0-only WITH Classpath-exception-2.0", expression("GPL-2.0-only WITH Classpath-exception-2.0")),
            ("GPL-3.0+", expression("GPL-3.0+")),
            ("(MIT", name("(MIT")),
            ("MIT)", name("MIT)")),
            ("MIT OR", name("MIT OR")),
            ("MIT MIT", name("MIT MIT")),
            ("MIT OR Proprietary", name("MIT OR Proprietary")),
            ("SEE LICENSE IN LICENSE.md", name("SEE LICENSE IN LICENSE.md")),
            ("UNLICENSED", name("UNLICENSED")),
            ("Apache License, Version 2.0", name("Apache License, Version 2.0")),
            ("MIT License\n\nCopyright (c)\nPermission", name("MIT License")),
            ("\u{1b}[31mX", name("[31mX")),
            ("", None),
            (" \n ", None),
        ] {
            assert_eq!(License::of(stated), license, "{stated:?}");
        }
        let long = "x".repeat(5000);
        assert_eq!(License::of(&long), name(&"x".repeat(120)));
    }
}
