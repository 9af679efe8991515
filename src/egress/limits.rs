//! What all connections of a run are held to.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What all connections of a run are held to; only values within [`Limits::within`] come over a border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Limits {
    /// Connections at once.
    pub connections: u32,
    /// How long nothing may move on a connection.
    pub idle: Duration,
    /// How long a connection may last.
    pub lifetime: Duration,
}

impl Limits {
    /// Most connections that may be allowed at once.
    pub const MOST_CONNECTIONS: u32 = 65_536;
    /// Shortest idle time and lifetime.
    pub const SHORTEST: Duration = Duration::from_secs(1);
    /// Longest idle time and lifetime: 30 days.
    pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Whether every value is one that the proxy keeps.
    #[must_use]
    pub fn within(&self) -> bool {
        let Limits { connections, idle, lifetime } = *self;
        let times = Limits::SHORTEST..=Limits::LONGEST;
        (1..=Limits::MOST_CONNECTIONS).contains(&connections) && times.contains(&idle) && times.contains(&lifetime)
    }
}

/// 2048 connections, an hour, a day.
impl Default for Limits {
    fn default() -> Limits {
        let hour = Duration::from_secs(60 * 60);
        Limits { connections: 2048, idle: hour, lifetime: 24 * hour }
    }
}

#[derive(Deserialize)]
struct Unchecked {
    connections: u32,
    idle: Duration,
    lifetime: Duration,
}

impl TryFrom<Unchecked> for Limits {
    type Error = &'static str;

    fn try_from(Unchecked { connections, idle, lifetime }: Unchecked) -> Result<Limits, &'static str> {
        let limits = Limits { connections, idle, lifetime };
        if limits.within() { Ok(limits) } else { Err("a limit of connections is out of range") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_that_limit_cross_a_border() {
        let crosses = |limits: Limits| {
            let bytes = postcard::to_allocvec(&limits).unwrap();
            postcard::from_bytes::<Limits>(&bytes).ok() == Some(limits)
        };
        let good = Limits::default();
        assert!(crosses(good));
        assert!(crosses(Limits { connections: Limits::MOST_CONNECTIONS, idle: Limits::LONGEST, ..good }));
        assert!(!crosses(Limits { connections: 0, ..good }));
        assert!(!crosses(Limits { connections: Limits::MOST_CONNECTIONS + 1, ..good }));
        assert!(!crosses(Limits { idle: Duration::ZERO, ..good }));
        assert!(!crosses(Limits { lifetime: Duration::MAX, ..good }));
    }
}
