//! The memory that requests may take: those that are read, those that wait for Python, and those that are held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// What a request takes besides its bytes: its head, its task, its place in the queue.
pub const OVERHEAD: usize = 4096;

/// A number of bytes that is shared out. A share may be larger than what is left, and grows as long as the others are
/// under the limit: so one large request alone goes through, and the limit is passed by at most a request. While it
/// is, everybody else waits.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    longest_wait: Duration,
    most_waiting: usize,
    used: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

impl Budget {
    pub fn new(limit: usize, longest_wait: Duration, most_waiting: usize) -> Self {
        let (used, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { limit, longest_wait, most_waiting, used, waiting, freed: Notify::new() }
    }

    /// Bytes that may be shared out.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes shared out at the moment.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Requests that wait for space at the moment.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A share for a request that begins, None where there was no space for too long or too many wait for it.
    pub async fn enter(self: &Arc<Self>) -> Option<Share> {
        let mut share = self.share();
        // Who begins goes behind those who wait.
        if self.waiting() > 0 && !self.wait(0).await {
            return None;
        }
        share.grow(OVERHEAD).await.then_some(share)
    }

    /// A share of nothing, for what is only a question.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// Whether there is space for who has so much already.
    fn has_space(&self, own: usize) -> bool {
        self.used() - own < self.limit
    }

    /// Return once there is space; false where that takes too long.
    async fn wait(&self, own: usize) -> bool {
        if self.waiting() >= self.most_waiting {
            return false;
        }
        let _counted = Waiting::new(&self.waiting);
        let space = async {
            while !self.has_space(own) {
                self.freed.notified().await;
            }
            // There may be more than one is going to use.
            self.freed.notify_one();
        };
        tokio::time::timeout(self.longest_wait, space).await.is_ok()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Part of a budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Take more, as soon as there is space; false where that takes too long.
    pub async fn grow(&mut self, bytes: usize) -> bool {
        if !self.space().await {
            return false;
        }
        self.add(bytes);
        true
    }

    /// Return once there is space; false where that takes too long.
    pub async fn space(&self) -> bool {
        self.budget.has_space(self.bytes) || self.budget.wait(self.bytes).await
    }

    /// Take more, whether or not there is space.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Give some back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        if bytes > 0 {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
            if self.budget.waiting() > 0 {
                self.budget.freed.notify_one();
            }
        }
    }

    #[cfg(test)]
    pub fn of_nothing() -> Self {
        Self { budget: Arc::new(Budget::new(1, Duration::ZERO, 0)), bytes: 0 }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    #[test]
    fn who_finds_no_space_waits_for_it_in_order() {
        running(async {
            let budget = Arc::new(Budget::new(2 * OVERHEAD, Duration::from_secs(5), 10));
            let first = budget.enter().await.unwrap();
            let second = budget.enter().await.unwrap();
            let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
            for number in 0..3 {
                let (budget, sender) = (budget.clone(), sender.clone());
                tokio::spawn(async move {
                    let share = budget.enter().await;
                    sender.send(number).unwrap();
                    drop(share);
                });
            }
            tokio::task::yield_now().await;
            assert_eq!((budget.waiting(), budget.used()), (3, 2 * OVERHEAD));
            drop(first);
            drop(second);
            for number in 0..3 {
                assert_eq!(served.recv().await, Some(number));
            }
            tokio::task::yield_now().await;
            assert_eq!((budget.waiting(), budget.used()), (0, 0));
        });
    }

    #[test]
    fn who_waits_too_long_or_behind_too_many_gets_nothing() {
        running(async {
            let budget = Arc::new(Budget::new(OVERHEAD, Duration::from_secs(5), 1));
            let held = budget.enter().await.unwrap();
            let late = tokio::spawn({
                let budget = budget.clone();
                async move { budget.enter().await.is_none() }
            });
            tokio::task::yield_now().await;
            assert!(budget.enter().await.is_none(), "one waits already");
            assert!(late.await.unwrap());
            assert_eq!((budget.waiting(), budget.used()), (0, OVERHEAD));
            drop(held);
        });
    }

    #[test]
    fn one_request_alone_may_be_larger_than_all_and_grows_while_the_others_are_small() {
        running(async {
            let budget = Arc::new(Budget::new(2 * OVERHEAD, Duration::from_secs(5), 10));
            let mut large = budget.enter().await.unwrap();
            let mut other = budget.enter().await.unwrap();
            assert!(large.grow(10 * OVERHEAD).await);
            assert!(large.grow(10 * OVERHEAD).await);
            assert!(!other.grow(1).await, "the large one takes all");
            drop(large);
            assert!(other.grow(1).await);
        });
    }
}
