//! A profile as written: TOML keys, each with its position. No meaning yet.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use toml::Spanned;

use super::{Drift, FirstUse, Home, Tier, Trust};
use crate::egress::Written;

/// One file: a server's profile, a bundle, `config.toml` or a built-in profile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawProfile {
    pub(super) version: Option<Spanned<i64>>,
    pub(super) command: Option<Spanned<Vec<String>>>,
    pub(super) package: Option<Spanned<String>>,
    pub(super) args: Option<Spanned<Vec<String>>>,
    pub(super) trust: Option<Spanned<Trust>>,
    #[serde(rename = "use")]
    pub(super) uses: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) jail: RawJail,
    #[serde(default)]
    pub(super) gate: RawGate,
}

/// `[jail]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawJail {
    pub(super) tier: Option<Spanned<Tier>>,
    pub(super) home: Option<Spanned<Home>>,
    pub(super) files: RawFiles,
    pub(super) network: RawNetwork,
    pub(super) env: RawEnv,
    pub(super) limits: RawLimits,
    pub(super) syscalls: RawSyscalls,
}

/// `[jail.files]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawFiles {
    pub(super) read: Vec<Spanned<RawPath>>,
    pub(super) write: Vec<Spanned<RawPath>>,
    pub(super) list: Vec<Spanned<RawPath>>,
    pub(super) exec: Vec<Spanned<RawPath>>,
    pub(super) deny_write: Vec<Spanned<RawPath>>,
    pub(super) guard: Vec<Spanned<String>>,
}

/// A path: a string, or `{ path = "…", dangerous = true, optional = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawPath {
    pub(super) path: String,
    pub(super) dangerous: bool,
    pub(super) optional: bool,
}

/// `[jail.network]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawNetwork {
    pub(super) loopback: Option<Spanned<bool>>,
    pub(super) allow: Vec<Spanned<RawRule>>,
    pub(super) connections: Option<Spanned<u64>>,
    pub(super) idle_timeout: Option<Spanned<Span>>,
    pub(super) lifetime: Option<Spanned<Span>>,
}

/// A network rule: a string, or `{ to = "…", private = true, dangerous = true, raw = true }`. Not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawRule(pub(super) Written);

/// `[jail.env]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawEnv {
    pub(super) pass: Vec<Spanned<String>>,
    pub(super) set: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// `[jail.limits]`, and the ceilings of the policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawLimits {
    pub(super) memory: Option<Spanned<Size>>,
    pub(super) processes: Option<Spanned<u64>>,
    pub(super) open_files: Option<Spanned<u64>>,
    pub(super) tmp: Option<Spanned<Size>>,
    pub(super) file_size: Option<Spanned<Size>>,
    pub(super) cpu: Option<Spanned<u64>>,
}

/// `[jail.syscalls]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawSyscalls {
    pub(super) allow: Vec<Spanned<String>>,
}

/// `[gate]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawGate {
    pub(super) drift: Option<Spanned<Drift>>,
    pub(super) first_use: Option<Spanned<FirstUse>>,
    pub(super) timeout: Option<Spanned<Span>>,
}

/// The administrator's floor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawPolicy {
    pub(super) version: Option<Spanned<i64>>,
    pub(super) minimum_tier: Option<Spanned<Tier>>,
    pub(super) forbid_dangerous: Option<Spanned<bool>>,
    pub(super) forbid_loopback: Option<Spanned<bool>>,
    pub(super) forbid_network: Option<Spanned<bool>>,
    pub(super) forbid_private_network: Option<Spanned<bool>>,
    pub(super) forbid_quarantine: Option<Spanned<bool>>,
    pub(super) require_approval: Option<Spanned<bool>>,
    pub(super) protected: Vec<Spanned<String>>,
    pub(super) env: RawDeny,
    pub(super) limits: RawLimits,
    pub(super) syscalls: RawDeny,
}

/// `[env]` and `[syscalls]` of the policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawDeny {
    pub(super) deny: Vec<Spanned<String>>,
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<RawPath, D::Error> {
        struct PathVisitor;
        impl<'de> Visitor<'de> for PathVisitor {
            type Value = RawPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a table with `path`")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<RawPath, E> {
                self.visit_string(path.to_owned())
            }

            fn visit_string<E: de::Error>(self, path: String) -> Result<RawPath, E> {
                Ok(RawPath { path, dangerous: false, optional: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPath, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields, rename_all = "kebab-case")]
                struct Table {
                    path: String,
                    #[serde(default)]
                    dangerous: bool,
                    #[serde(default)]
                    optional: bool,
                }
                let Table { path, dangerous, optional } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RawPath { path, dangerous, optional })
            }
        }
        deserializer.deserialize_any(PathVisitor)
    }
}

impl<'de> Deserialize<'de> for RawRule {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<RawRule, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = RawRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name and a port, or a table with `to`")
            }

            fn visit_str<E: de::Error>(self, to: &str) -> Result<RawRule, E> {
                self.visit_string(to.to_owned())
            }

            fn visit_string<E: de::Error>(self, to: String) -> Result<RawRule, E> {
                Ok(RawRule(Written { to, ..Written::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRule, A::Error> {
                Written::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawRule)
            }
        }
        deserializer.deserialize_any(RuleVisitor)
    }
}

/// A number of bytes: an integer or a string with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"512MiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes).map(Size).map_err(|_| E::custom("a size cannot be negative"))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                parse_size(text).map(Size).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Bytes from text: `4096`, `"64KiB"`, `"512 MiB"`, `"1GB"`. Units of 1024 have an `i`, those of 1000 have none.
///
/// # Errors
/// Why it is no size, as the second half of a sentence.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("a size starts with a whole number, for example `512MiB`".to_owned());
    }
    let too_large = || "the size does not fit 64 bits".to_owned();
    let number: u64 = number.parse().map_err(|_| too_large())?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if unit.is_empty() {
        return Ok(number);
    }
    if unit.starts_with(['.', ',']) {
        return Err("a size is a whole number, for example `1536MiB` instead of `1.5GiB`".to_owned());
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let nearest = UNITS.iter().map(|(name, _)| *name).find(|name| {
            name.eq_ignore_ascii_case(unit) || (unit.len() == 1 && name.starts_with(&unit.to_ascii_uppercase()))
        });
        return Err(match nearest {
            Some(nearest) => format!("the unit is written `{nearest}`"),
            None => "units are `KiB`, `MiB`, `GiB`, `TiB` (1024) and `kB`, `MB`, `GB`, `TB` (1000)".to_owned(),
        });
    };
    number.checked_mul(*factor).ok_or_else(too_large)
}

/// A length of time: a string with a unit. A bare number would leave the unit to be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        struct SpanVisitor;
        impl Visitor<'_> for SpanVisitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"30s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                parse_duration(text).map(Span).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(SpanVisitor)
    }
}

/// A time from text: `"500ms"`, `"30s"`, `"2 m"`, `"24h"`. Whole numbers of one unit.
///
/// # Errors
/// Why it is no time, as the second half of a sentence.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("a time starts with a whole number, for example `30s`".to_owned());
    }
    let too_long = || "the time does not fit 64 bits".to_owned();
    let number: u64 = number.parse().map_err(|_| too_long())?;
    match unit.strip_prefix(' ').unwrap_or(unit) {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(too_long),
        "h" => number.checked_mul(60 * 60).map(Duration::from_secs).ok_or_else(too_long),
        "" => Err("a time has a unit: `ms`, `s`, `m` or `h`".to_owned()),
        unit if unit.starts_with(['.', ',']) => {
            Err("a time is a whole number, for example `1500ms` instead of `1.5s`".to_owned())
        }
        "min" | "M" => Err("the unit is written `m`".to_owned()),
        "sec" | "S" => Err("the unit is written `s`".to_owned()),
        "H" | "hour" | "hours" => Err("the unit is written `h`".to_owned()),
        _ => Err("units are `ms` (milliseconds), `s` (seconds), `m` (minutes) and `h` (hours)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let good = [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("512MiB", 512 << 20),
            ("512 MiB", 512 << 20),
            ("1GiB", 1 << 30),
            ("1GB", 1_000_000_000),
            ("7B", 7),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, says) in [
            ("", "whole number"),
            ("MiB", "whole number"),
            ("-1MiB", "whole number"),
            ("1.5GiB", "1536MiB"),
            ("512M", "`MiB`"),
            ("512mib", "`MiB`"),
            ("5 parsecs", "units are"),
            ("99999999999999999999", "64 bits"),
            ("99999999999TiB", "64 bits"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("0ms", 0), ("500ms", 500), ("2s", 2_000), ("30 s", 30_000), ("10m", 600_000), ("24h", 86_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for (text, says) in [
            ("", "whole number"),
            ("s", "whole number"),
            ("-1s", "whole number"),
            ("30", "has a unit"),
            ("1.5s", "1500ms"),
            ("1min", "`m`"),
            ("3 d", "units are"),
            ("3 hours", "`h`"),
            ("9999999999999999999h", "64 bits"),
            ("99999999999999999999s", "64 bits"),
            ("999999999999999999m", "64 bits"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_whole_profile() {
        let text = r#"
            version = 1
            command = ["node", "/x/index.js"]
            trust = "first-party"
            use = ["node"]
            [jail]
            tier = "B"
            home = "persistent"
            [jail.files]
            read = ["/a", { path = "/b", dangerous = true, optional = true }]
            deny-write = ["${arg1}/.git"]
            guard = [".git/hooks"]
            [jail.network]
            loopback = true
            allow = ["api.github.com:443", { to = "db.corp:5432", private = true }]
            connections = 16
            idle-timeout = "10m"
            lifetime = "24h"
            [jail.env]
            pass = ["LC_*"]
            set = { A = "1", B = "2" }
            [jail.limits]
            memory = "1GiB"
            processes = 128
            open-files = 1024
            tmp = 4096
            file-size = "1GB"
            cpu = 0
            [jail.syscalls]
            allow = ["@chown"]
            [gate]
            drift = "quarantine"
            first-use = "trust"
            timeout = "2m"
        "#;
        let raw: RawProfile = toml::from_str(text).unwrap();
        let files = raw.jail.files;
        assert_eq!(*files.read[1].get_ref(), RawPath { path: "/b".to_owned(), dangerous: true, optional: true });
        assert!(text[files.read[1].span()].starts_with("{ path"));
        let network = raw.jail.network;
        assert_eq!(network.allow[0].get_ref().0.to, "api.github.com:443");
        assert!(network.allow[1].get_ref().0.private && !network.allow[1].get_ref().0.raw);
        assert!(text[network.allow[1].span()].starts_with("{ to"));
        assert_eq!(network.lifetime.unwrap().into_inner(), Span(Duration::from_secs(86_400)));
        assert_eq!(raw.gate.drift.unwrap().into_inner(), Drift::Quarantine);
        assert_eq!(raw.gate.timeout.unwrap().into_inner(), Span(Duration::from_secs(120)));
        assert_eq!(raw.jail.limits.file_size.unwrap().into_inner(), Size(1_000_000_000));
        assert_eq!(raw.jail.env.set.len(), 2);
        let (key, _) = raw.jail.env.set.first_key_value().unwrap();
        assert_eq!(&text[key.span()], "A");
    }
}
