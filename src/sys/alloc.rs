//! The static binary's allocator: dlmalloc behind a lock of one byte.
//!
//! musl's own allocator takes several times as long for the many small pieces that a start allocates, and a mutex of the
//! C library around dlmalloc takes as long as dlmalloc itself. The pieces held under the lock are some tens of
//! nanoseconds, so a thread that has to wait gives its turn away rather than sleep.

use dlmalloc::Dlmalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// A heap for the whole process.
pub struct Allocator {
    taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: `heap` is reached through `with` only, which lets one thread in at a time.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An empty heap.
    #[must_use]
    pub const fn new() -> Allocator {
        Allocator { taken: AtomicBool::new(false), heap: UnsafeCell::new(Dlmalloc::new()) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.taken.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: `taken` was false and is true now, so no other thread is between here and the store below, and `act`
        // does not allocate.
        let done = act(unsafe { &mut *self.heap.get() });
        self.taken.store(false, Ordering::Release);
        done
    }
}

impl Default for Allocator {
    fn default() -> Allocator {
        Allocator::new()
    }
}

// SAFETY: each call is passed to dlmalloc with the caller's own promises about pointer, layout and size; the heap is the
// same for all of them.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of non-zero size.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of non-zero size.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that this allocator gave `pointer` for this layout.
        self.with(|heap| unsafe { heap.free(pointer, layout.size(), layout.align()) });
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that this allocator gave `pointer` for this layout, and a non-zero size.
        self.with(|heap| unsafe { heap.realloc(pointer, layout.size(), layout.align(), size) })
    }
}
