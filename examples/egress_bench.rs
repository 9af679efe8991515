//! Measures connections: once directly, once through whatever is between.
//!
//! ```text
//! egress_bench serve [ADDRESS]      prints its address, and serves until its input ends
//! egress_bench measure ADDRESS      prints round trips, throughput and a thousand connections at once
//!     --only WHAT                   rtt, up, down, many or hold: 1,000 connections until its input ends
//! ```
//!
//! Within a jail that grants the address of a `serve` outside, the same `measure` shows what the jail costs.
#![allow(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measuring program, not the product"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// Bytes that are moved to measure throughput.
const BULK: usize = 2 << 30;
/// Bytes of a write.
const BLOCK: usize = 256 << 10;
/// Connections at once.
const MANY: usize = 1000;
/// Sizes of messages, and how many there are of each.
const MESSAGES: &[(usize, usize)] = &[(1, 20_000), (1 << 10, 20_000), (16 << 10, 10_000), (64 << 10, 5_000)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve"] => serve("127.0.0.1:0"),
        ["serve", address] => serve(address),
        ["measure", address] => ["rtt", "up", "down", "many"].into_iter().for_each(|what| measure(what, address)),
        ["measure", address, "--only", what] => measure(what, address),
        _ => panic!("egress_bench serve [ADDRESS] | measure ADDRESS [--only rtt|up|down|many|hold]"),
    }
}

fn serve(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // a small stack: there are many of them
            std::thread::Builder::new().stack_size(64 << 10).spawn(move || answer(stream)).unwrap();
        }
    });
    wait_for_input();
}

fn wait_for_input() {
    let _ended = std::io::stdin().read(&mut [0]);
}

/// The first byte says what is wanted: an echo, a sink that says when it has all, or a source.
fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut what = [0];
    if stream.read_exact(&mut what).is_err() {
        return;
    }
    match what[0] {
        b'e' => {
            // one that is only held needs no memory for messages
            let mut room = vec![0; 1];
            while let Ok(count @ 1..) = stream.read(&mut room) {
                if stream.write_all(&room[..count]).is_err() {
                    return;
                }
                room.resize(64 << 10, 0);
            }
        }
        b's' => {
            let mut room = vec![0; BLOCK];
            while let Ok(1..) = stream.read(&mut room) {}
            let _gone = stream.write_all(b"k");
        }
        _ => {
            let block = vec![7; BLOCK];
            for _ in 0..BULK / BLOCK {
                if stream.write_all(&block).is_err() {
                    return;
                }
            }
        }
    }
}

fn open(address: &str, what: u8) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&[what]).unwrap();
    stream
}

fn measure(what: &str, address: &str) {
    match what {
        "rtt" => MESSAGES.iter().for_each(|(size, count)| round_trips(address, *size, *count)),
        "up" => up(address),
        "down" => down(address),
        "many" => drop(many(address)),
        "hold" => {
            let _held = many(address);
            wait_for_input();
        }
        other => panic!("unknown: {other}"),
    }
}

fn round_trips(address: &str, size: usize, count: usize) {
    let mut stream = open(address, b'e');
    let message = vec![7; size];
    let mut room = vec![0; size];
    let mut times: Vec<u128> = (0..count + 100)
        .map(|_| {
            let begun = Instant::now();
            stream.write_all(&message).unwrap();
            stream.read_exact(&mut room).unwrap();
            begun.elapsed().as_nanos()
        })
        .skip(100)
        .collect();
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100] as f64 / 1000.0;
    println!("round trip of {size:>5} bytes: {:>6.1} us median, {:>6.1} us 99th", at(50), at(99));
}

fn up(address: &str) {
    let mut stream = open(address, b's');
    let block = vec![7; BLOCK];
    let begun = Instant::now();
    for _ in 0..BULK / BLOCK {
        stream.write_all(&block).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    throughput("up", begun);
}

fn down(address: &str) {
    let begun = Instant::now();
    let mut stream = open(address, b'p');
    let (mut room, mut got) = (vec![0; BLOCK], 0);
    while let Ok(count @ 1..) = stream.read(&mut room) {
        got += count;
    }
    assert_eq!(got, BULK);
    throughput("down", begun);
}

fn throughput(direction: &str, begun: Instant) {
    println!("throughput {direction:>4}: {:.2} GB/s", BULK as f64 / begun.elapsed().as_nanos() as f64);
}

/// Connections that all stand at once, each of which has seen a byte there and back.
fn many(address: &str) -> Vec<TcpStream> {
    let begun = Instant::now();
    // one after the other, so that the queue of the listener does not overflow
    let used = |_| {
        let mut stream = open(address, b'e');
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream
    };
    let all: Vec<TcpStream> = (0..MANY).map(used).collect();
    println!("{MANY} connections, opened and used: {:.1} us each", begun.elapsed().as_micros() as f64 / MANY as f64);
    all
}
