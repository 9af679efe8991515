//! The whole proxy on real sockets of the loopback, with a broker and a launcher that the tests play.

mod attacks;
mod bench;
mod bytes;
mod driven;
mod ends;
mod hearing;
mod jail;
mod limits;
mod questions;
mod racing;
mod world;
