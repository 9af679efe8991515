//! Which names an address was handed out for, and until when that is believed. Pure: the time is given.
//!
//! A hand-out is fresh for [`LIFETIME`] after it was made or last used. After that it is still known, so that a program
//! that keeps addresses for longer is asked about again, not refused: the name is resolved anew.

use super::DnsName;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a hand-out is believed after it was made or last used.
pub(super) const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Most names of one address: shared front ends have many, and only so many can be of use at once.
const NAMES: usize = 256;
/// Most addresses of one name.
const ADDRESSES: usize = 256;
/// Most hand-outs in all.
const ALL: usize = 8192;

/// One name of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held<'a> {
    /// The name.
    pub(super) name: &'a DnsName,
    /// Whether it was handed out, or used, within [`LIFETIME`].
    pub(super) fresh: bool,
}

/// All hand-outs of a run. What it holds is bounded: the oldest make room.
#[derive(Debug)]
pub(super) struct Ledger {
    names: HashMap<IpAddr, Vec<Entry>>,
    /// The same pairs, from the other side, in the order of handing out.
    addresses: HashMap<DnsName, Vec<IpAddr>>,
    count: usize,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    name: DnsName,
    /// When it was made or last used.
    last: Instant,
}

impl Entry {
    fn fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < LIFETIME
    }
}

impl Ledger {
    pub(super) fn new() -> Ledger {
        Ledger::bounded(ALL)
    }

    fn bounded(most: usize) -> Ledger {
        Ledger { names: HashMap::new(), addresses: HashMap::new(), count: 0, most }
    }

    /// Writes down that these addresses are handed out for this name, or that they still are its addresses.
    pub(super) fn hand_out(&mut self, name: &DnsName, addresses: &[IpAddr], now: Instant) {
        for &address in addresses.iter().take(ADDRESSES) {
            if self.touch(address, name, now) {
                continue;
            }
            if self.count >= self.most {
                self.make_room();
            }
            let held = self.names.entry(address).or_default();
            let surplus = (held.len() >= NAMES).then(|| oldest(held)).flatten();
            if let Some(surplus) = surplus {
                self.forget(address, &surplus);
            }
            let full = self.addresses.get(name).filter(|all| all.len() >= ADDRESSES);
            if let Some(first) = full.and_then(|all| all.first().copied()) {
                self.forget(first, name);
            }
            self.names.entry(address).or_default().push(Entry { name: name.clone(), last: now });
            self.addresses.entry(name.clone()).or_default().push(address);
            self.count += 1;
        }
    }

    /// The names of an address, those handed out last at the end.
    pub(super) fn names(&self, address: IpAddr, now: Instant) -> impl Iterator<Item = Held<'_>> {
        let entries = self.names.get(&address).into_iter().flatten();
        entries.map(move |entry| Held { name: &entry.name, fresh: entry.fresh(now) })
    }

    /// Whether a hand-out stands there and is fresh.
    pub(super) fn is_fresh(&self, address: IpAddr, name: &DnsName, now: Instant) -> bool {
        self.names(address, now).any(|held| held.fresh && held.name == name)
    }

    /// The addresses that were handed out for a name and are fresh, in that order.
    pub(super) fn addresses(&self, name: &DnsName, now: Instant) -> impl Iterator<Item = IpAddr> {
        let all = self.addresses.get(name).into_iter().flatten().copied();
        all.filter(move |address| self.is_fresh(*address, name, now))
    }

    /// Writes down that a hand-out was used, or made again. Gives whether there is such a hand-out.
    pub(super) fn touch(&mut self, address: IpAddr, name: &DnsName, now: Instant) -> bool {
        let entry = self.names.get_mut(&address).and_then(|held| held.iter_mut().find(|entry| entry.name == *name));
        // time that goes backwards shortens nothing
        entry.map(|entry| entry.last = entry.last.max(now)).is_some()
    }

    /// Strikes a hand-out.
    pub(super) fn forget(&mut self, address: IpAddr, name: &DnsName) {
        let Some(held) = self.names.get_mut(&address) else { return };
        let before = held.len();
        held.retain(|entry| entry.name != *name);
        self.count -= before - held.len();
        if held.is_empty() {
            self.names.remove(&address);
        }
        if let Some(all) = self.addresses.get_mut(name) {
            all.retain(|other| *other != address);
            if all.is_empty() {
                self.addresses.remove(name);
            }
        }
    }

    /// Strikes the oldest eighth, so that a flood of hand-outs pays for the search once in many.
    fn make_room(&mut self) {
        let all = self.names.iter().flat_map(|(address, held)| held.iter().map(|entry| (entry.last, *address, entry)));
        let mut all: Vec<(Instant, IpAddr, DnsName)> =
            all.map(|(last, address, entry)| (last, address, entry.name.clone())).collect();
        all.sort_unstable();
        for (_, address, name) in all.into_iter().take(self.most.div_ceil(8)) {
            self.forget(address, &name);
        }
    }
}

/// The name that was not used for longest.
fn oldest(held: &[Entry]) -> Option<DnsName> {
    held.iter().min_by_key(|entry| entry.last).map(|entry| entry.name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ip, name};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn names(ledger: &Ledger, address: &str, now: Instant) -> Vec<(String, bool)> {
        ledger.names(ip(address), now).map(|held| (held.name.to_string(), held.fresh)).collect()
    }

    #[test]
    fn hand_outs_expire_and_are_renewed_by_use() {
        let (start, mut ledger) = (Instant::now(), Ledger::new());
        ledger.hand_out(&name("a.test"), &[ip("1.2.3.4"), ip("2606::1")], start);
        let last = start + LIFETIME - Duration::from_nanos(1);
        assert_eq!(names(&ledger, "1.2.3.4", last), [("a.test".to_owned(), true)]);
        assert_eq!(names(&ledger, "1.2.3.4", start + LIFETIME), [("a.test".to_owned(), false)]);
        assert!(ledger.touch(ip("1.2.3.4"), &name("a.test"), last));
        assert!(ledger.is_fresh(ip("1.2.3.4"), &name("a.test"), start + LIFETIME));
        assert!(!ledger.is_fresh(ip("2606::1"), &name("a.test"), start + LIFETIME), "not the one beside it");
        let fresh: Vec<IpAddr> = ledger.addresses(&name("a.test"), start + LIFETIME).collect();
        assert_eq!(fresh, [ip("1.2.3.4")]);
        // a clock that steps back takes nothing away
        assert!(ledger.touch(ip("1.2.3.4"), &name("a.test"), start));
        assert!(ledger.is_fresh(ip("1.2.3.4"), &name("a.test"), start + LIFETIME));
    }

    #[test]
    fn addresses_are_shared_and_names_are_struck_alone() {
        let (now, mut ledger) = (Instant::now(), Ledger::new());
        for text in ["a.test", "b.test", "a.test"] {
            ledger.hand_out(&name(text), &[ip("1.2.3.4")], now);
        }
        assert_eq!(names(&ledger, "1.2.3.4", now), [("a.test".to_owned(), true), ("b.test".to_owned(), true)]);
        ledger.forget(ip("1.2.3.4"), &name("a.test"));
        assert_eq!(names(&ledger, "1.2.3.4", now), [("b.test".to_owned(), true)]);
        assert!(!ledger.touch(ip("1.2.3.4"), &name("a.test"), now));
        assert_eq!(names(&ledger, "1.2.3.5", now), []);
        ledger.forget(ip("1.2.3.4"), &name("c.test"));
        assert_eq!(ledger.count, 1);
    }

    /// A server that owns a wildcard's zone gets one front end many names, and one name many addresses.
    #[test]
    fn floods_push_out_the_oldest_and_nothing_grows() {
        let (start, mut ledger) = (Instant::now(), Ledger::bounded(64));
        let at = |n: u64| start + Duration::from_secs(n);
        for n in 0..1000u64 {
            ledger.hand_out(&name(&format!("n{n}.test")), &[ip("1.2.3.4")], at(n));
            assert!(ledger.count <= 64);
        }
        assert!(ledger.is_fresh(ip("1.2.3.4"), &name("n999.test"), at(999)));
        assert!(!ledger.is_fresh(ip("1.2.3.4"), &name("n900.test"), at(999)));
        let mut ledger = Ledger::new();
        let many: Vec<IpAddr> = (0..1000u32).map(|n| IpAddr::from(n.to_be_bytes())).collect();
        for part in many.chunks(100) {
            ledger.hand_out(&name("a.test"), part, start);
        }
        assert_eq!(ledger.count, ADDRESSES);
        for n in 0..2 * NAMES {
            ledger.hand_out(&name(&format!("n{n}.test")), &[ip("9.9.9.9")], start);
        }
        assert_eq!(ledger.names(ip("9.9.9.9"), start).count(), NAMES);
    }

    #[derive(Debug, Clone)]
    enum Step {
        HandOut(u8, Vec<u8>),
        Touch(u8, u8),
        Forget(u8, u8),
        Wait(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4u8, proptest::collection::vec(0..6u8, 0..5)).prop_map(|(name, all)| Step::HandOut(name, all)),
            (0..4u8, 0..6u8).prop_map(|(name, address)| Step::Touch(name, address)),
            (0..4u8, 0..6u8).prop_map(|(name, address)| Step::Forget(name, address)),
            (0..1200u16).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// A pair is fresh exactly where it was handed out, not struck since, and made or used within the lifetime.
        #[test]
        fn it_remembers_what_happened_and_nothing_else(steps in proptest::collection::vec(step(), 0..60)) {
            let mut now = Instant::now();
            let (mut ledger, mut model) = (Ledger::new(), BTreeMap::<(u8, u8), Instant>::new());
            let named = |n: u8| name(&format!("n{n}.test"));
            let address = |n: u8| IpAddr::from([9, 9, 9, n]);
            for step in steps {
                match step {
                    Step::HandOut(n, all) => {
                        ledger.hand_out(&named(n), &all.iter().map(|at| address(*at)).collect::<Vec<_>>(), now);
                        model.extend(all.iter().map(|at| ((n, *at), now)));
                    }
                    Step::Touch(n, at) => {
                        let known = model.get_mut(&(n, at)).map(|last| *last = now).is_some();
                        prop_assert_eq!(ledger.touch(address(at), &named(n), now), known);
                    }
                    Step::Forget(n, at) => {
                        ledger.forget(address(at), &named(n));
                        model.remove(&(n, at));
                    }
                    Step::Wait(seconds) => now += Duration::from_secs(seconds.into()),
                }
                prop_assert_eq!(ledger.count, model.len());
                for n in 0..4 {
                    for at in 0..6 {
                        let fresh = model.get(&(n, at)).is_some_and(|last| now.duration_since(*last) < LIFETIME);
                        prop_assert_eq!(ledger.is_fresh(address(at), &named(n), now), fresh);
                        prop_assert_eq!(ledger.addresses(&named(n), now).any(|found| found == address(at)), fresh);
                        let known = ledger.names(address(at), now).any(|held| *held.name == named(n));
                        prop_assert_eq!(known, model.contains_key(&(n, at)));
                    }
                }
            }
        }
    }
}
