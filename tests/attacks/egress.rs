//! Cases 20, 26, 32 and 41-43 once more, under a profile that grants connections by name: what sets that up in the jail's
//! network is not left to the server.

use crate::case::{CASE, Case, Launch, TierB};
use crate::context::{Ctx, STRICT};
use crate::support::expect::{Rule, Want::*};
use crate::support::probe::Feature::*;
use serde_json::{Value, json};

/// Names that nobody has, on a port below 1024 and on one above.
const EGRESS: Launch = Launch {
    name: "egress",
    options: |world, tier_b| {
        let mut options = (STRICT.options)(world, tier_b)?;
        options.extend(["--net", "granted.example:443,5432"].map(Into::into));
        Ok(options)
    },
    env: &[],
};

const NO_TIER_B: TierB = TierB::NotPromised("tier B has no network of its own, and refuses such a profile");

/// Nothing by hand, and nothing but TCP and UDP.
const REFUSED: &[&str] = &["EACCES", "EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT"];

fn loopback(ctx: &Ctx) -> Value {
    let mut targets = Vec::new();
    for host in ["127.0.0.1", "0.0.0.0", "127.1.2.3"] {
        let (tcp, udp) = (format!("{host}:{}", ctx.port(0)), format!("{host}:{}", ctx.port(1)));
        targets.push(json!({ "name": format!("tcp {host}"), "address": tcp }));
        for how in ["connect", "sendto", "sendmsg"] {
            targets
                .push(json!({ "name": format!("udp-{how} {host}"), "address": udp, "type": "datagram", "how": how }));
        }
        for how in ["fast-open", "fast-open-connect"] {
            targets.push(json!({ "name": format!("{how} {host}"), "address": tcp, "how": how }));
        }
        for (name, kind, protocol) in [("mptcp", "stream", 262), ("sctp", "stream", 132), ("udplite", "datagram", 136)]
        {
            targets
                .push(json!({ "name": format!("{name} {host}"), "address": tcp, "type": kind, "protocol": protocol }));
        }
    }
    json!({ "attack": "connect", "targets": targets })
}

pub const CASES: &[Case] = &[
    Case {
        number: 41,
        name: "set-up-under-egress",
        attack: |_| json!({ "attack": "network-setup", "ports": [1, 53, 443, 5432] }),
        control: &[
            Rule("flags-of-lo", WorksOr(&["EPERM"])), // root in a container may lack it
            Rule("sysctl", WorksOr(&["EROFS"])),
            Rule("tcp:192.0.2.1:*", Fails(&["EADDRNOTAVAIL"])),
            Rule("udp:192.0.2.1:*", Fails(&["EADDRNOTAVAIL"])),
            Rule("tcp:*", WorksOr(&["EADDRINUSE"])),
            Rule("udp:*", WorksOr(&["EADDRINUSE"])),
            Rule("interfaces", Any("a machine without a network has none")),
            Rule("routes", Any("the same")),
            Rule("*", Works),
        ],
        control_user: Some((
            "the network is root's, and so are ports below 1024",
            &[
                Rule("flags-of-lo", Fails(&["EPERM"])),
                Rule("sysctl", Fails(&["EACCES", "EROFS"])),
                Rule("tcp:192.0.2.1:*", Fails(&["EADDRNOTAVAIL", "EACCES"])),
                Rule("udp:192.0.2.1:*", Fails(&["EADDRNOTAVAIL", "EACCES"])),
                Rule("tcp:127.0.0.1:5432", WorksOr(&["EADDRINUSE"])),
                Rule("udp:127.0.0.1:5432", WorksOr(&["EADDRINUSE"])),
                Rule("tcp:*", WorksOr(&["EACCES", "EADDRINUSE"])), // net.ipv4.ip_unprivileged_port_start
                Rule("udp:*", WorksOr(&["EACCES", "EADDRINUSE"])),
                Rule("interfaces", Any("a machine without a network has none")),
                Rule("routes", Any("the same")),
                Rule("*", Works),
            ],
        )),
        refused: &[
            Rule("netlink", Fails(&["EAFNOSUPPORT"])),
            Rule("flags-of-lo", Fails(&["EPERM"])),
            Rule("sysctl", Fails(&["EACCES", "EROFS"])),
            // the granted port above 1024 is taken already, on every address
            Rule("tcp:127.0.0.1:5432", Fails(&["EADDRINUSE"])),
            Rule("tcp:192.0.2.1:5432", Fails(&["EADDRINUSE"])),
            Rule("udp:127.0.0.1:5432", Works),
            Rule("udp:192.0.2.1:5432", Works),
            Rule("tcp:*", Fails(&["EACCES"])),
            Rule("udp:*", Fails(&["EACCES"])),
            Rule("own-list-of-interfaces", Works),
            Rule("*", Nothing),
        ],
        tier_b: NO_TIER_B,
        refused_by: EGRESS,
        ..CASE
    },
    Case {
        number: 41,
        name: "packets-by-hand-under-egress",
        attack: |_| json!({ "attack": "raw" }),
        control: &[Rule("ping*", WorksOr(&["EACCES"])), Rule("*", Works)],
        control_user: Some((
            "packets by hand want CAP_NET_RAW; ping a group of net.ipv4.ping_group_range",
            &[Rule("ping*", WorksOr(&["EACCES"])), Rule("*", Fails(&["EPERM"]))],
        )),
        refused: &[Rule("*", Fails(REFUSED))],
        tier_b: NO_TIER_B,
        refused_by: EGRESS,
        ..CASE
    },
    Case {
        number: 32,
        name: "families-under-egress",
        attack: |_| json!({ "attack": "families" }),
        control: &[
            Rule("netlink-route", Works),
            Rule("high:netlink", Works),
            Rule("unknown", Fails(&["EAFNOSUPPORT"])),
            Rule("*", Any("kernels are built without many of these, and packets by hand want CAP_NET_RAW")),
        ],
        refused: &[Rule("*", Fails(&["EAFNOSUPPORT"]))],
        tier_b: NO_TIER_B,
        refused_by: EGRESS,
        ..CASE
    },
    Case {
        number: 26,
        name: "descriptors-under-egress",
        attack: |_| json!({ "attack": "own-descriptors", "here": true }),
        control: &[Rule("standard:*", Nothing), Rule("*", Any("the suite's own inheritance"))],
        refused: &[Rule("*", Nothing)],
        tier_b: NO_TIER_B,
        refused_by: EGRESS,
        ..CASE
    },
    Case {
        number: 20,
        name: "capabilities-under-egress",
        attack: |_| json!({ "attack": "capabilities" }),
        control: &[
            Rule("CapBnd", Works),
            Rule("bounding", Works),
            Rule("*", Any("as root, or as nobody in particular")),
        ],
        refused: &[
            Rule("set-securebits", Fails(&["EPERM"])),
            Rule("capset", Fails(&["EPERM"])),
            Rule("ambient", Fails(&["EPERM"])),
            Rule("setuid-other", Fails(&["EPERM", "EINVAL"])),
            Rule("setgid-other", Fails(&["EPERM", "EINVAL"])),
            Rule("*", Nothing),
        ],
        tier_b: NO_TIER_B,
        refused_by: EGRESS,
        ..CASE
    },
    Case {
        number: 43,
        name: "loopback-of-the-machine-under-egress",
        prepare: |ctx| {
            ctx.listen_tcp("127.0.0.1:0")?;
            ctx.listen_udp("127.0.0.1:0")
        },
        attack: loopback,
        control: &[
            // The listeners are on 127.0.0.1 alone.
            Rule("tcp 127.1.2.3", Fails(&["ECONNREFUSED"])),
            Rule("sctp*", WorksOr(&["EPROTONOSUPPORT", "ECONNREFUSED"])),
            Rule("fast-open*", WorksOr(&["EOPNOTSUPP", "ECONNREFUSED"])),
            Rule("mptcp*", WorksOr(&["EPROTONOSUPPORT", "ECONNREFUSED"])),
            Rule("udp-*", WorksOr(&["ECONNREFUSED"])),
            Rule("*", Works),
        ],
        refused: &[
            Rule("tcp *", Fails(&["ECONNREFUSED"])),
            Rule("udp-*", WorksOr(&["ECONNREFUSED"])),
            Rule("fast-open*", Fails(&["EPERM"])),
            Rule("*", Fails(REFUSED)),
        ],
        tier_b: NO_TIER_B,
        needs: &[Mptcp],
        refused_by: EGRESS,
        verify: crate::sockets::unreached,
        ..CASE
    },
];
