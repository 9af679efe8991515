//! Work on many paths, on two threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Calls `work` with ranges that cover `0..count`, each at most `chunk` long, on this thread and one more where there is
/// more than one range. That thread has ended when this returns. The answers come in no order.
pub(super) fn share<T: Send>(count: usize, chunk: usize, work: &(dyn Fn(Range<usize>) -> T + Sync)) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let turns = || {
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(chunk, Ordering::Relaxed);
            if start >= count {
                return done;
            }
            done.push(work(start..count.min(start + chunk)));
        }
    };
    if count <= chunk {
        return turns();
    }
    thread::scope(|scope| {
        // Without a second thread it takes longer, and that is all.
        let other = thread::Builder::new().name("store".into()).spawn_scoped(scope, turns).ok();
        let mut done = turns();
        match other.map(thread::ScopedJoinHandle::join) {
            Some(Ok(more)) => done.extend(more),
            // What it was to look at was not looked at.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => {}
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once() {
        for count in [0, 1, 7, 8, 9, 1000] {
            let mut all: Vec<usize> =
                share(count, 8, &|range| range.collect::<Vec<_>>()).into_iter().flatten().collect();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
