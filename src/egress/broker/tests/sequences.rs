//! Questions in any order.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

/// What a proxy that belongs to the server might ask, in any order.
#[derive(Debug, Clone)]
enum Move {
    Name(&'static str, u8),
    Open(&'static str, u16, Said, u8),
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    let names = || select(&["a.test", "x.b.test", "b.test", "evil.test", "localhost"][..]);
    let said = prop_oneof![
        Just(Said::Nothing),
        names().prop_map(|text| Said::Tls(name(text))),
        names().prop_map(|text| Said::Http(name(text))),
    ];
    prop_oneof![
        (names(), 0..3u8).prop_map(|(text, family)| Move::Name(text, family)),
        (select(PLACES), select(&[22u16, 80, 443, 5432][..]), said, 0..3u8)
            .prop_map(|(place, port, said, attempt)| Move::Open(place, port, said, attempt)),
        (1..2000u64).prop_map(Move::Wait),
    ]
}

const PLACES: &[&str] = &[
    "9.9.9.1",
    "9.9.9.2",
    "2606::1",
    "10.0.0.1",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "169.254.169.254",
    "0.0.0.0",
];

proptest! {
    /// Whatever is asked, in whatever order, and whatever the name servers say: only granted names are looked up, and an
    /// address is dialled only where a rule grants it, or grants a name for it that the resolver gave it for.
    #[test]
    fn no_sequence_of_questions_reaches_what_is_not_granted(
        all in proptest::collection::vec(moves(), 1..40),
        answers in proptest::collection::vec(proptest::collection::vec(select(PLACES), 0..4), 1..6),
    ) {
        let lines = [("a.test:443,5432", ""), ("*.b.test:80,443", "p"), ("b.test:443", "r"), ("localhost:5432", ""), ("9.9.9.2:22", "")];
        let mut stage = Stage::new(&lines);
        for (at, text) in ["a.test", "x.b.test", "b.test", "evil.test", "localhost"].into_iter().enumerate() {
            let mut own = answers.clone();
            own.rotate_left(at % answers.len());
            stage.script.set(text, own.iter().map(|all| Ok(ips(all))).collect());
        }
        for step in all {
            match step {
                Move::Name(text, family) => {
                    let family = [Family::V4, Family::V6, Family::Neither][usize::from(family)];
                    stage.name(text, family);
                }
                Move::Open(place, port, said, attempt) => {
                    stage.attempt(&SocketAddr::new(ip(place), port).to_string(), said, attempt);
                }
                Move::Wait(seconds) => stage.now += Duration::from_secs(seconds),
            }
        }
        let rules = rules(&lines);
        for text in stage.script.lookups() {
            prop_assert!(rules.grants(&name(&text)) && text != "localhost", "{}", text);
        }
        for place in stage.script.dialled.lock().unwrap().iter() {
            let given = answers.iter().flatten().any(|text| ip(text).to_canonical() == place.ip());
            let named = ["a.test", "x.b.test", "b.test"].iter().any(|text| rules.named(&name(text), *place).is_some());
            prop_assert!(rules.literal(*place).is_some() || (given && named), "{}", place);
        }
    }
}
