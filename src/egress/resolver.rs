//! Granted names, asked of the machine's own resolver on a few threads.
//!
//! getaddrinfo(3) waits, for as long as its own settings say, and cannot be called off. So lookups run on threads; whoever
//! asks waits for [`TOTAL`] and no longer; threads that hang are replaced, as far as [`THREADS`]. All the book-keeping is
//! done by the thread that owns the [`Resolver`].

use super::DnsName;
use crate::sys::poll::{Interest, wait_for};
use crate::sys::resolve::ResolveError;
use std::collections::{HashMap, VecDeque};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long an answer is given again without a lookup: the questions for both families come together.
pub(super) const CACHED: Duration = Duration::from_secs(5);
/// How long who asks waits; programs give up after about as long.
pub(super) const TOTAL: Duration = Duration::from_secs(10);
/// Lookups at once, not counting those that hang for longer than [`TOTAL`].
const AT_ONCE: usize = 8;
/// Lookups at once, counting those.
const THREADS: usize = 32;
/// Most names that wait for their lookup.
const QUEUE: usize = 256;
/// Most who wait for any name.
const WAITING: usize = 1024;
/// Most answers that are kept.
const KEPT: usize = 512;
/// Room for the C library's resolver, which keeps answers on the stack and loads modules.
const STACK: usize = 1 << 20;

/// The lookup itself: [`crate::sys::resolve::resolve`], or a test's script.
pub(super) type Lookup = Arc<dyn Fn(&DnsName) -> Result<Vec<IpAddr>, ResolveError> + Send + Sync>;

/// What came of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its addresses, in the resolver's order; not judged.
    Addresses(Arc<[IpAddr]>),
    /// There is no such name.
    NoName,
    /// The resolver failed, or took too long.
    Failed,
}

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is known.
    Known(Answer),
    /// [`Resolver::finished`] will tell.
    Pending,
    /// Too much is asked at once.
    Full,
}

/// Looks names up. `T` says who asked.
pub(super) struct Resolver<T> {
    lookup: Lookup,
    cache: HashMap<DnsName, (Instant, Answer)>,
    /// Who waits for what, until when; also lookups that nobody waits for any more.
    pending: HashMap<DnsName, Vec<(T, Instant)>>,
    waiting: usize,
    /// When somebody's patience ends, in order.
    patience: VecDeque<(Instant, DnsName)>,
    queue: VecDeque<DnsName>,
    /// What threads are at, since when.
    running: HashMap<DnsName, Instant>,
    threads: usize,
    jobs: Sender<DnsName>,
    next_job: Arc<Mutex<Receiver<DnsName>>>,
    result: Sender<(DnsName, Answer)>,
    results: Receiver<(DnsName, Answer)>,
    wake: PipeReader,
    waker: Arc<PipeWriter>,
}

impl<T> Resolver<T> {
    /// # Errors
    /// As pipe2(2).
    pub(super) fn new(lookup: Lookup) -> io::Result<Resolver<T>> {
        let (jobs, next_job) = channel();
        let (result, results) = channel();
        let (wake, waker) = io::pipe()?;
        Ok(Resolver {
            lookup,
            cache: HashMap::new(),
            pending: HashMap::new(),
            waiting: 0,
            patience: VecDeque::new(),
            queue: VecDeque::new(),
            running: HashMap::new(),
            threads: 0,
            jobs,
            next_job: Arc::new(Mutex::new(next_job)),
            result,
            results,
            wake,
            waker: Arc::new(waker),
        })
    }

    /// Asks for a name's addresses.
    pub(super) fn ask(&mut self, name: &DnsName, who: T, now: Instant) -> Asked {
        if let Some((at, answer)) = self.cache.get(name)
            && now.saturating_duration_since(*at) < CACHED
        {
            return Asked::Known(answer.clone());
        }
        if self.waiting >= WAITING {
            return Asked::Full;
        }
        if !self.pending.contains_key(name) {
            if self.queue.len() >= QUEUE {
                return Asked::Full;
            }
            self.queue.push_back(name.clone());
        }
        let until = now + TOTAL;
        self.pending.entry(name.clone()).or_default().push((who, until));
        self.waiting += 1;
        self.patience.push_back((until, name.clone()));
        self.start(now);
        Asked::Pending
    }

    /// Readable where [`Resolver::finished`] has something to tell.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// When [`Resolver::finished`] has something to do at the latest. A lookup that hangs already has had its replacement,
    /// or there are no more threads: nothing comes of that time any more.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let hangs = self.running.values().map(|since| *since + TOTAL).filter(|at| *at > now);
        let hang = hangs.min().filter(|_| !self.queue.is_empty());
        self.patience.front().map(|(until, _)| *until).into_iter().chain(hang).min()
    }

    /// Whose answers have come, or who has waited long enough.
    pub(super) fn finished(&mut self, now: Instant) -> Vec<(T, DnsName, Answer)> {
        let mut told = Vec::new();
        if wait_for(self.wake.as_fd(), Interest::Read, Some(Instant::now())).unwrap_or(false) {
            // one byte a result, which was sent before it; what is left is read next time
            let _bytes = self.wake.read(&mut [0; 256]);
        }
        while let Ok((name, answer)) = self.results.try_recv() {
            self.running.remove(&name);
            let who = self.pending.remove(&name).unwrap_or_default();
            self.waiting -= who.len();
            self.keep(&name, &answer, now);
            told.extend(who.into_iter().map(|(who, _)| (who, name.clone(), answer.clone())));
        }
        while self.patience.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, name)) = self.patience.pop_front() else { break };
            self.give_up(&name, now, &mut told);
        }
        self.start(now);
        told
    }

    /// Answers those whose patience for this name has ended.
    fn give_up(&mut self, name: &DnsName, now: Instant, told: &mut Vec<(T, DnsName, Answer)>) {
        let Some(who) = self.pending.get_mut(name) else { return };
        let before = told.len();
        let (over, left): (Vec<_>, Vec<_>) = who.drain(..).partition(|(_, until)| *until <= now);
        *who = left;
        told.extend(over.into_iter().map(|(who, _)| (who, name.clone(), Answer::Failed)));
        self.waiting -= told.len() - before;
        if who.is_empty() && !self.running.contains_key(name) {
            self.pending.remove(name);
            self.queue.retain(|queued| queued != name);
        }
    }

    fn keep(&mut self, name: &DnsName, answer: &Answer, now: Instant) {
        if self.cache.len() >= KEPT {
            self.cache.retain(|_, (at, _)| now.saturating_duration_since(*at) < CACHED);
        }
        if self.cache.len() >= KEPT {
            self.cache.clear();
        }
        self.cache.insert(name.clone(), (now, answer.clone()));
    }

    /// Gives queued names to threads, as many as may run at once.
    fn start(&mut self, now: Instant) {
        let hanging = self.running.values().filter(|since| now.saturating_duration_since(**since) >= TOTAL).count();
        let most = THREADS.min(AT_ONCE + hanging);
        while self.running.len() < most {
            let Some(name) = self.queue.pop_front() else { return };
            if self.threads <= self.running.len() {
                match self.thread() {
                    Ok(()) => self.threads += 1,
                    // one of those that are there takes it when it can
                    Err(_) if self.threads > 0 => {}
                    Err(_) => {
                        let _never_closed = self.result.send((name.clone(), Answer::Failed));
                        self.running.insert(name, now);
                        let _is_readable = (&*self.waker).write(&[0]);
                        continue;
                    }
                }
            }
            let _never_closed = self.jobs.send(name.clone());
            self.running.insert(name, now);
        }
    }

    /// A thread that looks names up until the resolver is dropped.
    fn thread(&self) -> io::Result<()> {
        let (lookup, jobs, results, waker) =
            (self.lookup.clone(), self.next_job.clone(), self.result.clone(), self.waker.clone());
        let work = move || {
            loop {
                // the lock is held while waiting: the others wait for the lock
                let Ok(Ok(name)) = jobs.lock().map(|jobs| jobs.recv()) else { return };
                let answer = match lookup(&name) {
                    Ok(addresses) if addresses.is_empty() => Answer::NoName,
                    Ok(addresses) => Answer::Addresses(addresses.into()),
                    Err(ResolveError::NoName) => Answer::NoName,
                    Err(ResolveError::Again | ResolveError::Failed) => Answer::Failed,
                };
                if results.send((name, answer)).is_err() || (&*waker).write(&[0]).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("resolver".to_owned()).stack_size(STACK).spawn(work).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::name;
    use super::*;
    use std::sync::Condvar;

    type Found = Result<Vec<IpAddr>, ResolveError>;

    /// Lookups that wait until the test lets them go, by name; and how often each was made.
    #[derive(Default)]
    struct Script {
        state: Mutex<(HashMap<String, Found>, Vec<String>)>,
        changed: Condvar,
    }

    impl Script {
        fn lookup(self: &Arc<Script>) -> Lookup {
            let script = self.clone();
            Arc::new(move |name| {
                let mut state = script.state.lock().unwrap();
                state.1.push(name.to_string());
                script.changed.notify_all();
                loop {
                    if let Some(answer) = state.0.get(name.as_str()) {
                        return answer.clone();
                    }
                    state = script.changed.wait(state).unwrap();
                }
            })
        }

        fn answer(&self, name: &str, answer: Result<&[[u8; 4]], ResolveError>) {
            let answer = answer.map(|all| all.iter().map(|v4| IpAddr::from(*v4)).collect());
            self.state.lock().unwrap().0.insert(name.to_owned(), answer);
            self.changed.notify_all();
        }

        /// Waits until so many lookups were begun.
        fn begun(&self, count: usize) -> Vec<String> {
            let state = self.state.lock().unwrap();
            self.changed.wait_while(state, |state| state.1.len() < count).unwrap().1.clone()
        }
    }

    /// Waits for at least one answer.
    fn next<T>(resolver: &mut Resolver<T>, now: Instant) -> Vec<(T, DnsName, Answer)> {
        loop {
            let told = resolver.finished(now);
            if !told.is_empty() {
                return told;
            }
            assert!(wait_for(resolver.wake(), Interest::Read, None).unwrap());
        }
    }

    fn addresses(all: &[[u8; 4]]) -> Answer {
        Answer::Addresses(all.iter().map(|v4| IpAddr::from(*v4)).collect())
    }

    #[test]
    fn the_same_name_is_looked_up_once_and_kept_for_a_moment() {
        let script = Arc::new(Script::default());
        let (mut resolver, now) = (Resolver::new(script.lookup()).unwrap(), Instant::now());
        assert_eq!(resolver.ask(&name("a.test"), 1, now), Asked::Pending);
        assert_eq!(resolver.ask(&name("a.test"), 2, now), Asked::Pending);
        script.answer("a.test", Ok(&[[1, 2, 3, 4]]));
        let told = next(&mut resolver, now);
        assert_eq!(told.iter().map(|(who, _, _)| *who).collect::<Vec<_>>(), [1, 2]);
        assert!(told.iter().all(|(_, _, answer)| *answer == addresses(&[[1, 2, 3, 4]])));
        script.answer("a.test", Ok(&[[5, 6, 7, 8]]));
        let soon = now + CACHED - Duration::from_nanos(1);
        assert_eq!(resolver.ask(&name("a.test"), 3, soon), Asked::Known(addresses(&[[1, 2, 3, 4]])));
        assert_eq!(resolver.ask(&name("a.test"), 4, now + CACHED), Asked::Pending);
        assert_eq!(next(&mut resolver, now + CACHED)[0].2, addresses(&[[5, 6, 7, 8]]));
        assert_eq!(script.begun(2).len(), 2);
    }

    #[test]
    fn failures_are_told_apart() {
        let script = Arc::new(Script::default());
        let (mut resolver, now) = (Resolver::new(script.lookup()).unwrap(), Instant::now());
        script.answer("none.test", Err(ResolveError::NoName));
        script.answer("empty.test", Ok(&[]));
        script.answer("again.test", Err(ResolveError::Again));
        script.answer("failed.test", Err(ResolveError::Failed));
        for (text, expected) in [
            ("none.test", Answer::NoName),
            ("empty.test", Answer::NoName),
            ("again.test", Answer::Failed),
            ("failed.test", Answer::Failed),
        ] {
            assert_eq!(resolver.ask(&name(text), (), now), Asked::Pending);
            assert_eq!(next(&mut resolver, now)[0].2, expected);
            assert_eq!(resolver.ask(&name(text), (), now), Asked::Known(expected));
        }
    }

    /// A name whose servers never answer, and as many of them as there are threads, hold up other names for a while only.
    #[test]
    fn hanging_lookups_are_given_up_and_others_go_on() {
        let script = Arc::new(Script::default());
        let (mut resolver, now) = (Resolver::new(script.lookup()).unwrap(), Instant::now());
        script.answer("good.test", Ok(&[[1, 2, 3, 4]]));
        for n in 0..AT_ONCE {
            assert_eq!(resolver.ask(&name(&format!("hang{n}.test")), n, now), Asked::Pending);
        }
        assert_eq!(script.begun(AT_ONCE).len(), AT_ONCE);
        let later = now + Duration::from_secs(1);
        assert_eq!(resolver.ask(&name("good.test"), 99, later), Asked::Pending);
        assert!(resolver.finished(later).is_empty());
        assert_eq!(resolver.deadline(later), Some(now + TOTAL));
        let told = resolver.finished(now + TOTAL);
        assert_eq!(told.len(), AT_ONCE, "all that hang");
        assert!(told.iter().all(|(_, _, answer)| *answer == Answer::Failed));
        let told = next(&mut resolver, now + TOTAL);
        assert_eq!((told[0].0, &told[0].2), (99, &addresses(&[[1, 2, 3, 4]])));
        // who asks again waits for the lookup that hangs, and no second one is begun; its answer is heard, however late
        let again = now + 2 * TOTAL;
        assert_eq!(resolver.ask(&name("hang0.test"), 100, again), Asked::Pending);
        assert!(resolver.finished(again).is_empty());
        script.answer("hang0.test", Ok(&[[9, 9, 9, 9]]));
        let told = next(&mut resolver, again);
        assert_eq!((told[0].0, &told[0].2), (100, &addresses(&[[9, 9, 9, 9]])));
        assert_eq!(script.begun(AT_ONCE + 1).iter().filter(|begun| *begun == "hang0.test").count(), 1);
    }

    /// With lookups that hang and names that wait for their turn the owner must wait, not ask again and again.
    #[test]
    fn whoever_waits_for_hanging_lookups_rests() {
        let script = Arc::new(Script::default());
        let (mut resolver, start) = (Resolver::new(script.lookup()).unwrap(), Instant::now());
        let mut now = start;
        for round in 0..8 {
            for n in 0..2 * THREADS {
                assert_eq!(resolver.ask(&name(&format!("n{n}.r{round}.test")), (), now), Asked::Pending);
            }
            assert!(!resolver.queue.is_empty());
            // half of a patience later, and when it is over
            for _ in 0..2 {
                let at = resolver.deadline(now).unwrap();
                assert!(at > now, "round {round}: the deadline is over already");
                now += TOTAL / 2;
                let _told = resolver.finished(now);
            }
        }
        assert_eq!(resolver.threads, THREADS);
    }

    #[test]
    fn floods_are_refused_and_threads_are_bounded() {
        let script = Arc::new(Script::default());
        let (mut resolver, start) = (Resolver::new(script.lookup()).unwrap(), Instant::now());
        let mut now = start;
        let mut asked = 0;
        // round after round of names that hang: threads are replaced up to the bound and not beyond
        for round in 0..8 {
            while resolver.ask(&name(&format!("n{asked}.test")), round, now) == Asked::Pending {
                asked += 1;
            }
            now += TOTAL;
            let told = resolver.finished(now);
            assert!(!told.is_empty() && told.iter().all(|(_, _, answer)| *answer == Answer::Failed));
            assert_eq!(resolver.waiting, 0);
        }
        assert_eq!(script.begun(THREADS).len(), THREADS);
        assert_eq!((resolver.threads, resolver.running.len()), (THREADS, THREADS));
        assert!(resolver.queue.is_empty() && resolver.patience.is_empty());
        assert_eq!(resolver.pending.len(), THREADS, "what runs, and nothing else");
        // everyone who waits for one name is bounded, too
        let fresh = name("n0.test");
        assert_eq!((0..2000).filter(|_| resolver.ask(&fresh, 0, now) == Asked::Pending).count(), WAITING);
    }

    #[test]
    fn kept_answers_are_bounded() {
        let script = Arc::new(Script::default());
        let mut resolver: Resolver<()> = Resolver::new(script.lookup()).unwrap();
        let now = Instant::now();
        for n in 0..10 * KEPT {
            resolver.keep(&name(&format!("n{n}.test")), &Answer::NoName, now);
            assert!(resolver.cache.len() <= KEPT);
        }
        assert!(resolver.cache.contains_key(&name(&format!("n{}.test", 10 * KEPT - 1))));
    }
}
