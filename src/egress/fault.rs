//! What can be wrong with a rule, and what to write instead.

use super::{Class, NameFault};
use std::net::IpAddr;

/// Why a text is no rule. `Display` says what is wrong as the second half of a sentence about the text,
/// [`RuleFault::remedy`] what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// Nothing at all, or nothing before the port.
    #[error("it does not say where to")]
    Empty,
    /// A URL.
    #[error("this is a URL, and a rule is a name and a port")]
    Url {
        /// The rule that it may have meant.
        instead: String,
    },
    /// Something after the port that is a path, a query or a fragment.
    #[error("it holds a path, and a connection has none")]
    Path {
        /// The text up to it.
        instead: String,
    },
    /// `user@host`.
    #[error("it holds a user, and a connection has none")]
    User {
        /// The text after it.
        instead: String,
    },
    /// No port.
    #[error("it has no port")]
    NoPort {
        /// What stands before it, where that could be a name or an address.
        before: Option<String>,
    },
    /// `*` as port.
    #[error("ports are named one by one or as ranges, `*` is none")]
    AnyPort,
    /// Port 0.
    #[error("there is no port 0")]
    PortZero,
    /// Port 53.
    #[error("port 53 is where the jail's own DNS answers, and other servers of it are not reached")]
    PortDns,
    /// Letters.
    #[error("{} is no port", shown(text))]
    PortNotNumber {
        /// The text.
        text: String,
    },
    /// `080`.
    #[error("{} begins with a zero", shown(text))]
    PortZeros {
        /// The text.
        text: String,
    },
    /// Above 65535.
    #[error("{} is more than 65535, the last port there is", shown(text))]
    PortTooLarge {
        /// The text.
        text: String,
    },
    /// `90-80`.
    #[error("the range of ports `{first}-{last}` ends before it begins")]
    PortsBackwards {
        /// Its beginning.
        first: u16,
        /// Its end.
        last: u16,
    },
    /// The same port in two ranges of one rule.
    #[error("port {port} stands in it twice")]
    PortTwice {
        /// The port.
        port: u16,
    },
    /// More than [`super::MOST_PORTS`].
    #[error("{count} ports are too many: at most 256 different ones in a whole profile")]
    TooManyPorts {
        /// How many.
        count: usize,
    },
    /// IPv6 without brackets.
    #[error("an IPv6 address stands in brackets, otherwise nobody can tell it from its port")]
    Brackets {
        /// With brackets.
        instead: String,
    },
    /// Brackets around something else than an IPv6 address, or one bracket.
    #[error("brackets hold an IPv6 address or a block of them, nothing else")]
    NotInBrackets,
    /// `fe80::1%eth0`, or a link-local address of IPv6, which needs that.
    #[error("a link-local address of IPv6 needs a zone (`%eth0`), which rules do not have")]
    Zone,
    /// `010.0.0.1`, `0x7f000001`, `2130706433`, `127.1`, `1.2.3.4.5`.
    #[error(
        "an IPv4 address is four decimal numbers up to 255 without leading zeros: other forms mean different addresses to different programs"
    )]
    Ipv4,
    /// `::ffff:1.2.3.4`, `2002:…`.
    #[error("this address of IPv6 stands for one of IPv4")]
    Embeds {
        /// The rule for that one.
        instead: String,
    },
    /// Not a number, or longer than the address.
    #[error("the length of the block's prefix is no number up to {most}")]
    Prefix {
        /// 32 or 128.
        most: u8,
    },
    /// Bits below the prefix.
    #[error("the block's address has bits below its prefix")]
    HostBits {
        /// The block that holds the address.
        instead: String,
    },
    /// A name with a prefix length.
    #[error("only addresses come in blocks")]
    BlockOfNames,
    /// `a.*.com`, `*foo.com`, `**`, `*.*.com`.
    #[error("`*` stands for whole labels at the beginning, once")]
    Wildcard {
        /// What it may have meant.
        instead: Option<String>,
    },
    /// No name.
    #[error("{}", match fault { NameFault::Number => "its last label is a number, which some programs read as an address".to_owned(), fault => format!("no host has that name: {fault}") })]
    Name {
        /// Why not.
        fault: NameFault,
    },
    /// A name that is not ASCII.
    #[error("names are compared in the form that goes over the wire")]
    NonAscii {
        /// The whole rule in that form, where there is one.
        instead: Option<String>,
    },
    /// Below `localhost`.
    #[error("names that end in `.localhost` are this machine itself")]
    BelowLocalhost {
        /// The rule for the loopback.
        instead: String,
    },
    /// An address that no rule grants.
    #[error("the address `{address}` is {class}, and no rule grants such addresses")]
    Never {
        /// The address.
        address: IpAddr,
        /// Its class.
        class: Class,
    },
    /// A block without one address that blocks grant.
    #[error("the block holds no address that can be granted by a block, only {held}")]
    NothingToGrant {
        /// The classes in it.
        held: String,
    },
    /// Needs `dangerous = true`.
    #[error("{what}")]
    NeedsDangerous {
        /// What is dangerous in it.
        what: &'static str,
    },
}

impl RuleFault {
    /// What to write instead, as half a sentence in the imperative.
    #[must_use]
    pub fn remedy(&self) -> String {
        const EXAMPLE: &str = "write a name and a port, such as `api.github.com:443`";
        let write = |text: &str| format!("write {}", shown(text));
        match self {
            RuleFault::Empty => EXAMPLE.to_owned(),
            RuleFault::Url { instead }
            | RuleFault::Path { instead }
            | RuleFault::User { instead }
            | RuleFault::Brackets { instead }
            | RuleFault::HostBits { instead }
            | RuleFault::BelowLocalhost { instead }
            | RuleFault::Embeds { instead } => write(instead),
            RuleFault::NoPort { before: Some(before) } => write(&format!("{before}:443")),
            RuleFault::NoPort { before: None } => EXAMPLE.to_owned(),
            RuleFault::AnyPort | RuleFault::PortZero => {
                "write the ports that the server uses: `443`, `80,443` or `8000-8010`".to_owned()
            }
            RuleFault::PortDns => "take the port out: granted names are resolved without a rule for it".to_owned(),
            RuleFault::PortNotNumber { text } => match service(text) {
                Some(port) => write(&port.to_string()),
                None => "write a number, several with commas, or a range such as `8000-8010`".to_owned(),
            },
            RuleFault::PortZeros { text } => match text.trim_start_matches('0') {
                "" => "write the ports that the server uses".to_owned(),
                digits => write(digits),
            },
            RuleFault::PortTooLarge { .. } => "write a port from 1 to 65535".to_owned(),
            RuleFault::PortsBackwards { first, last } => write(&format!("{last}-{first}")),
            RuleFault::PortTwice { .. } => "write each port once".to_owned(),
            RuleFault::TooManyPorts { .. } => "name the ports that the server uses".to_owned(),
            RuleFault::NotInBrackets => {
                "write `[2001:db8::1]:443` for an address, `example.com:443` for a name".to_owned()
            }
            RuleFault::Zone => "grant another address of that machine".to_owned(),
            RuleFault::Ipv4 => "write an address such as `192.0.2.1:443`".to_owned(),
            RuleFault::Prefix { .. } => "write a block such as `10.0.0.0/8:5432` or `[fd00::/8]:5432`".to_owned(),
            RuleFault::BlockOfNames => "write `*.example.com:443` for all names below one".to_owned(),
            RuleFault::Wildcard { instead: Some(instead) } => write(instead),
            RuleFault::Wildcard { instead: None } => "write `*.example.com:443` for all names below one".to_owned(),
            RuleFault::Name { fault: NameFault::Number } => "write an address as four decimal numbers".to_owned(),
            RuleFault::Name { .. } => EXAMPLE.to_owned(),
            RuleFault::NonAscii { instead: Some(instead) } => {
                format!("write {}, if that is the name you mean", shown(instead))
            }
            RuleFault::NonAscii { instead: None } => "write its `xn--` form".to_owned(),
            RuleFault::Never { class: Class::Special, address } if address.is_unspecified() => {
                "write `localhost:PORT` for this machine".to_owned()
            }
            RuleFault::Never { .. } => "grant the address of a host".to_owned(),
            RuleFault::NothingToGrant { .. } => {
                "write single addresses, or `localhost:PORT` for this machine".to_owned()
            }
            RuleFault::NeedsDangerous { .. } => {
                "grant less, or write it in a profile as `{ to = \"…\", dangerous = true }`".to_owned()
            }
        }
    }
}

/// Text in backticks, cut to what fits a message, without control characters.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let cut: String = text.chars().take(MOST).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", crate::diagnose::printable(&cut))
}

/// The port of a service's name or a URL's scheme: those that people write.
pub(super) fn service(name: &str) -> Option<u16> {
    Some(match name.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "ssh" | "sftp" => 22,
        "smtp" => 25,
        "submission" => 587,
        "smtps" | "submissions" => 465,
        "imap" => 143,
        "imaps" => 993,
        "pop3" => 110,
        "pop3s" => 995,
        "ldap" => 389,
        "ldaps" => 636,
        "git" => 9418,
        "mysql" | "mariadb" => 3306,
        "postgres" | "postgresql" => 5432,
        "redis" | "rediss" => 6379,
        "amqp" => 5672,
        "amqps" => 5671,
        "mongodb" => 27017,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cannot_move_a_cursor_and_have_an_end() {
        let fault = RuleFault::PortNotNumber { text: format!("\x1b[2J\u{202e}{}", "x".repeat(5000)) };
        let text = fault.to_string();
        assert!(text.chars().count() < 300 && !text.contains(['\x1b', '\u{202e}']), "{text}");
        let remedy = RuleFault::Url { instead: "a\nb".to_owned() }.remedy();
        assert!(!remedy.contains('\n'), "{remedy:?}");
    }
}
