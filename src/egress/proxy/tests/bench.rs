//! The proxy beside a direct connection, on the loopback of this machine:
//!
//! ```text
//! cargo build --release --example egress_bench
//! cargo test --release --lib egress::proxy::tests::bench -- --ignored --nocapture
//! ```

use super::world::*;
use crate::sys::message;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// `examples/egress_bench.rs`, built beside this test.
fn program(arguments: &[&str]) -> Child {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("examples/egress_bench"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("build the example")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Memory of this process, KiB: what is resident, and what the kernel holds for it.
fn memory() -> (u64, u64) {
    let read = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    (read("/proc/self/status", "VmRSS:"), read("/proc/meminfo", "Slab:"))
}

#[test]
#[ignore = "measures"]
fn beside_a_direct_connection() {
    let mut server = program(&["serve"]);
    let target = first_line(&mut server);
    let world = World::new(LIMITS);
    world.serve(target.parse().unwrap(), &["db.example.com"]);
    // a launcher that reads, or nothing new would be begun after a while
    let events = world.events.try_clone().unwrap();
    std::thread::spawn(
        move || while message::receive(events.as_fd(), &mut [0; 4096], true).is_ok_and(|got| got.0 > 0) {},
    );
    let place = world.place.to_string();
    for (how, address) in [("direct", &target), ("proxied", &place), ("direct", &target), ("proxied", &place)] {
        let mut output = String::new();
        let mut child = program(&["measure", address]);
        child.stdout.as_mut().unwrap().read_to_string(&mut output).unwrap();
        assert!(child.wait().unwrap().success());
        output.lines().for_each(|line| println!("{how:>7}: {line}"));
    }
    let before = memory();
    let mut child = program(&["measure", &place, "--only", "hold"]);
    first_line(&mut child);
    let after = memory();
    println!(
        "1000 connections held: {} KiB resident, {} KiB of the kernel's (of which the client's and the server's are half)",
        after.0.saturating_sub(before.0),
        after.1.saturating_sub(before.1),
    );
    drop(child.stdin.take());
    child.wait().unwrap();
    drop(server.stdin.take());
    server.wait().unwrap();
}
