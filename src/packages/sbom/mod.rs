//! A bill of materials in CycloneDX 1.6 (ECMA-424). Pure.
//!
//! The server stands in `metadata.component` with the digest of its tree, every package of the tree in `components` with
//! the hashes that its archive was held against, and what depends on what in `dependencies`. All is sorted, so that the
//! same tree gives the same text.

mod license;
mod purl;

use super::{Component, Ecosystem, Hash, Installed};
use crate::catalog::Digest;
use license::License;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Entry>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Entry,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Tools {
    components: Vec<Tool>,
}

#[derive(Serialize)]
struct Tool {
    r#type: &'static str,
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Entry {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    purl: String,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Checksum {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: String,
    depends_on: BTreeSet<String>,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

/// The bill of materials of a tree as JSON text, ending in a newline. The same tree gives the same bytes.
///
/// `added` is the time of the record by RFC 3339.
#[must_use]
pub fn cyclonedx(name: &str, tree: &Digest, installed: &Installed, added: &str) -> String {
    let Installed { release, start: _, components, skipped, ran } = installed;
    let ecosystem = release.ecosystem;
    let references: Vec<String> =
        components.iter().map(|part| purl::of(ecosystem, &part.name, &part.version)).collect();
    let mut entries: BTreeMap<&str, (Entry, BTreeSet<String>)> = BTreeMap::new();
    for (component, reference) in components.iter().zip(&references) {
        // npm may have the same version of a package in several places; here it is one.
        let (entry, depends) = entries
            .entry(reference)
            .or_insert_with(|| (entry(ecosystem, component, reference.clone()), BTreeSet::new()));
        entry.hashes.extend(checksums(&component.hashes));
        entry.hashes.sort();
        entry.hashes.dedup();
        depends.extend(
            component.depends.iter().filter_map(|at| references.get(*at)).filter(|to| *to != reference).cloned(),
        );
    }

    let server = format!("mcpjail:{}", purl::encoded(name));
    let (group, short) = split(ecosystem, &release.name);
    let component = Entry {
        r#type: "application",
        reference: server.clone(),
        group,
        name: short,
        version: release.version.clone(),
        hashes: vec![Checksum { alg: "SHA-256", content: tree.hex() }],
        licenses: Vec::new(),
        purl: purl::of(ecosystem, &release.name, &release.version),
    };
    let scripts =
        |name: &'static str, packages: Vec<String>| packages.into_iter().map(move |value| Property { name, value });
    let mut ran = ran.clone();
    ran.sort();
    let mut skipped: Vec<String> = skipped.iter().map(|script| script.package.clone()).collect();
    skipped.sort();
    skipped.dedup();
    let properties = [
        Property { name: "mcpjail:server", value: name.to_owned() },
        Property { name: "mcpjail:tree", value: tree.to_string() },
    ]
    .into_iter()
    .chain(scripts("mcpjail:install-script-run", ran))
    .chain(scripts("mcpjail:install-script-skipped", skipped))
    .collect();

    let own: BTreeSet<String> = references.first().cloned().into_iter().collect();
    let mut dependencies = vec![Dependency { r#ref: server, depends_on: own }];
    let mut listed = Vec::new();
    for (reference, (entry, depends_on)) in entries {
        dependencies.push(Dependency { r#ref: reference.to_owned(), depends_on });
        listed.push(entry);
    }
    let tool = Tool { r#type: "application", name: "mcpjail", version: env!("CARGO_PKG_VERSION") };
    let bom = Bom {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: serial(tree),
        version: 1,
        metadata: Metadata {
            timestamp: added.to_owned(),
            tools: Tools { components: vec![tool] },
            component,
            properties,
        },
        components: listed,
        dependencies,
    };
    // Strings, numbers and lists: there is nothing in it that cannot be written.
    let mut text = serde_json::to_string_pretty(&bom).unwrap_or_default();
    text.push('\n');
    text
}

fn entry(ecosystem: Ecosystem, component: &Component, reference: String) -> Entry {
    let (group, name) = split(ecosystem, &component.name);
    Entry {
        r#type: "library",
        purl: reference.clone(),
        reference,
        group,
        name,
        version: component.version.clone(),
        hashes: Vec::new(),
        licenses: component.license.as_deref().and_then(License::of).into_iter().collect(),
    }
}

/// An npm scope is CycloneDX's group.
fn split(ecosystem: Ecosystem, name: &str) -> (Option<String>, String) {
    match name.split_once('/').filter(|_| ecosystem == Ecosystem::Npm && name.starts_with('@')) {
        Some((scope, name)) => (Some(scope.to_owned()), name.to_owned()),
        None => (None, name.to_owned()),
    }
}

/// Hashes by CycloneDX's names of their algorithms; what is none of them, or has another length, is left out.
fn checksums(hashes: &[Hash]) -> impl Iterator<Item = Checksum> {
    hashes.iter().filter_map(|Hash { algorithm, hex }| {
        let (alg, digits) = match algorithm.as_str() {
            "md5" => ("MD5", 32),
            "sha1" => ("SHA-1", 40),
            "sha256" => ("SHA-256", 64),
            "sha384" => ("SHA-384", 96),
            "sha512" => ("SHA-512", 128),
            _ => return None,
        };
        let whole = hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit());
        whole.then(|| Checksum { alg, content: hex.to_ascii_lowercase() })
    })
}

/// A UUID of version 8 (RFC 9562, section 5.8) from the first bytes of the tree's digest.
fn serial(tree: &Digest) -> String {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = tree.0;
    let (g, i) = (g & 0x0f | 0x80, i & 0x3f | 0x80);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [hex(&[a, b, c, d]), hex(&[e, f]), hex(&[g, h]), hex(&[i, j]), hex(&[k, l, m, n, o, p])];
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests;
