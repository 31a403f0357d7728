//! The memory that requests may take: those that are read, those that wait for Python, and those that are held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

/// What a request takes besides its bytes: its head, its task, its place in the queue.
pub const OVERHEAD: usize = 4096;
/// Most that is set aside for a request before so much of it came.
pub const MAX_AHEAD: usize = 2 * 1024 * 1024;
/// The part of the limit by which requests of unknown sizes may pass it together.
const SLACK: usize = 8;
/// How many requests a typical size remembers.
const MEMORY: usize = 8;

/// A number of bytes that is shared out. A request has room set aside before its body is read: for the size that it
/// announces, or that of those before it. So who has begun can end, and all others wait with their bodies unread.
///
/// The limit is passed by one request at a time, which is not made to wait any more: so one larger than all goes through,
/// and those that turn out larger than their room do not wait for each other.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    longest_wait: Duration,
    most_waiting: usize,
    used: AtomicUsize,
    /// A request passes the limit.
    is_passed: AtomicBool,
    /// Bytes that requests had lately, on average.
    typical: AtomicUsize,
    entering: Queue,
    /// Of those that have begun; they go first.
    growing: Queue,
}

/// Requests that wait, served in order.
#[derive(Debug, Default)]
struct Queue {
    waiting: AtomicUsize,
    turn: Mutex<()>,
    freed: Notify,
}

/// What the requests of one connection that wait for space may keep of what can be sent ahead on it. More of them would
/// leave nothing of it to those that have begun.
#[derive(Debug)]
pub struct Line {
    room: usize,
    /// What one of them can keep at most.
    each: usize,
    kept: AtomicUsize,
}

impl Line {
    /// Of a connection whose calls come side by side: so much can be sent ahead on all of them and on one.
    pub fn new(window: usize, each: usize) -> Self {
        Self { room: window / 2, each, kept: AtomicUsize::new(0) }
    }

    /// Of a connection with one request at a time.
    pub fn of_one() -> Self {
        Self { room: usize::MAX, each: 0, kept: AtomicUsize::new(0) }
    }

    fn enter(&self, bytes: usize) -> Option<Counted<'_>> {
        let bytes = bytes.min(self.each);
        let has_room = self.kept.load(Ordering::Relaxed) + bytes <= self.room;
        has_room.then(|| Counted::new(&self.kept, bytes))
    }
}

impl Budget {
    pub fn new(limit: usize, longest_wait: Duration, most_waiting: usize) -> Self {
        Self {
            limit,
            longest_wait,
            most_waiting,
            used: AtomicUsize::new(0),
            is_passed: AtomicBool::new(false),
            typical: AtomicUsize::new(0),
            entering: Queue::default(),
            growing: Queue::default(),
        }
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
        self.entering.waiting.load(Ordering::Relaxed) + self.growing.waiting.load(Ordering::Relaxed)
    }

    /// What to set aside for a request that announces no size.
    pub fn guess(&self) -> usize {
        let typical = self.typical.load(Ordering::Relaxed);
        typical + typical / 4
    }

    /// A share for a request that begins and has so many bytes, None where there was no space for too long or too many
    /// wait for it.
    pub async fn enter(self: &Arc<Self>, bytes: usize, line: &Arc<Line>) -> Option<Share> {
        let mut share = self.share();
        share.line = Some(line.clone());
        let bytes = bytes.min(MAX_AHEAD);
        // Who begins goes behind those who wait.
        if self.waiting() == 0 && share.take(OVERHEAD + bytes, false) {
            return Some(share);
        }
        if self.waiting() >= self.most_waiting {
            return None;
        }
        let _kept = line.enter(bytes)?;
        share.wait(OVERHEAD + bytes, &self.entering).await.then_some(share)
    }

    /// A share of nothing, for what is only a question.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: self.clone(), line: None, bytes: 0, needed: 0, passes: false }
    }

    fn freed(&self) {
        if self.waiting() > 0 {
            self.growing.freed.notify_one();
            self.entering.freed.notify_one();
        }
    }

    /// Remember how large a request was.
    fn learn(&self, bytes: usize) {
        let typical = self.typical.load(Ordering::Relaxed);
        let learnt = typical - typical / MEMORY + bytes.min(MAX_AHEAD) / MEMORY;
        self.typical.store(learnt, Ordering::Relaxed);
    }
}

struct Counted<'a>(&'a AtomicUsize, usize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize, by: usize) -> Self {
        count.fetch_add(by, Ordering::Relaxed);
        Self(count, by)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Part of a budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    line: Option<Arc<Line>>,
    bytes: usize,
    /// Of them, what the request turned out to need.
    needed: usize,
    passes: bool,
}

impl Share {
    /// Have room for so many bytes of the request in all, as soon as there is space; false where that takes too long.
    /// Of them `coming` have not been read, and wait meanwhile in the connection's window: false where too much does.
    pub async fn reserve(&mut self, bytes: usize, coming: usize) -> bool {
        let more = (OVERHEAD + bytes).saturating_sub(self.bytes);
        more == 0 || self.grow(more, coming).await
    }

    /// Return once the limit is not passed, or by this one; false where that takes too long.
    pub async fn space(&mut self) -> bool {
        self.grow(0, 0).await
    }

    async fn grow(&mut self, more: usize, coming: usize) -> bool {
        if self.take(more, true) {
            return true;
        }
        let (budget, line) = (self.budget.clone(), self.line.clone());
        let kept = match &line {
            Some(line) => line.enter(coming).map(Some),
            None => Some(None),
        };
        kept.is_some() && self.wait(more, &budget.growing).await
    }

    /// Whether more may be read of a request of which so many bytes came. Within its room it may, even while the limit is
    /// passed; but where its size is not known, its next piece may be larger than that.
    pub fn may_read(&self, came: usize, is_sized: bool) -> bool {
        let limit = self.budget.limit;
        let used = self.budget.used();
        let is_inside = OVERHEAD + came < self.bytes && (is_sized || used <= limit + limit / SLACK);
        self.passes || used < limit || is_inside
    }

    /// Count what has been taken: so many bytes of the request in all.
    pub fn cover(&mut self, bytes: usize) {
        self.needed = self.needed.max(bytes);
        self.add((OVERHEAD + bytes).saturating_sub(self.bytes));
    }

    /// Keep so much, and give the rest back.
    pub fn settle(&mut self, bytes: usize) {
        self.cover(bytes);
        self.shrink(self.bytes - (OVERHEAD + bytes));
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Take more at once, if it may.
    fn take(&mut self, bytes: usize, has_begun: bool) -> bool {
        let (used, limit) = (self.budget.used(), self.budget.limit);
        let fits = self.passes || used + bytes <= limit;
        // All of this happens in one thread; only giving back does not.
        if !fits && (has_begun || used < limit) && !self.budget.is_passed.swap(true, Ordering::AcqRel) {
            self.passes = true;
        }
        let is_taken = fits || self.passes;
        if is_taken {
            self.add(bytes);
        }
        is_taken
    }

    /// Take more once it is this one's turn.
    async fn wait(&mut self, bytes: usize, queue: &Queue) -> bool {
        let budget = self.budget.clone();
        let has_begun = std::ptr::eq(queue, &budget.growing);
        let others = if has_begun { None } else { Some(&budget.growing.waiting) };
        let counted = Counted::new(&queue.waiting, 1);
        let taking = async {
            let _turn = queue.turn.lock().await;
            loop {
                let is_free = others.is_none_or(|others| others.load(Ordering::Relaxed) == 0);
                if is_free && self.take(bytes, has_begun) {
                    return;
                }
                queue.freed.notified().await;
            }
        };
        let is_taken = tokio::time::timeout(budget.longest_wait, taking).await.is_ok();
        drop(counted);
        // There may be space for the next, too.
        budget.freed();
        is_taken
    }

    fn shrink(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.bytes -= bytes;
        let used = self.budget.used.fetch_sub(bytes, Ordering::AcqRel) - bytes;
        if self.passes && (self.bytes == 0 || used <= self.budget.limit) {
            self.passes = false;
            self.budget.is_passed.store(false, Ordering::Release);
        }
        self.budget.freed();
    }

    #[cfg(test)]
    pub fn of_nothing() -> Self {
        Arc::new(Budget::new(1, Duration::ZERO, 0)).share()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.needed > 0 {
            self.budget.learn(self.needed);
        }
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Arc<Line> {
        Arc::new(Line::of_one())
    }

    fn running<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    fn budget(limit: usize, most_waiting: usize) -> Arc<Budget> {
        Arc::new(Budget::new(limit, Duration::from_secs(5), most_waiting))
    }

    #[test]
    fn who_finds_no_space_waits_for_it_in_order() {
        running(async {
            let budget = budget(2 * OVERHEAD, 10);
            let first = budget.enter(0, &alone()).await.unwrap();
            let second = budget.enter(0, &alone()).await.unwrap();
            let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
            for number in 0..3 {
                let (budget, sender) = (budget.clone(), sender.clone());
                tokio::spawn(async move {
                    let share = budget.enter(0, &alone()).await;
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
            let budget = budget(OVERHEAD, 1);
            let held = budget.enter(0, &alone()).await.unwrap();
            let late = tokio::spawn({
                let budget = budget.clone();
                async move { budget.enter(0, &alone()).await.is_none() }
            });
            tokio::task::yield_now().await;
            assert!(budget.enter(0, &alone()).await.is_none(), "one waits already");
            assert!(late.await.unwrap());
            assert_eq!((budget.waiting(), budget.used()), (0, OVERHEAD));
            drop(held);
        });
    }

    #[test]
    fn one_request_alone_may_be_larger_than_all_and_grows_while_the_others_are_small() {
        running(async {
            let budget = budget(2 * OVERHEAD, 10);
            let mut large = budget.enter(0, &alone()).await.unwrap();
            let mut other = budget.enter(0, &alone()).await.unwrap();
            assert!(large.reserve(10 * OVERHEAD, 0).await);
            assert!(large.reserve(20 * OVERHEAD, 0).await);
            assert!(!other.reserve(1, 0).await, "the large one takes all");
            drop(large);
            assert!(other.reserve(1, 0).await);
        });
    }

    #[test]
    fn many_that_grow_together_pass_the_limit_one_after_the_other_and_all_end() {
        running(async {
            const SIZE: usize = 3 * OVERHEAD;
            let budget = budget(8 * OVERHEAD, 1000);
            let most = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..50)
                .map(|_| {
                    let (budget, most) = (budget.clone(), most.clone());
                    tokio::spawn(async move {
                        let mut share = budget.enter(0, &alone()).await.unwrap();
                        tokio::task::yield_now().await;
                        assert!(share.reserve(SIZE, 0).await);
                        most.fetch_max(budget.used(), Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let most = most.load(Ordering::Relaxed);
            assert!(most > 4 * OVERHEAD && most <= budget.limit() + SIZE + OVERHEAD, "{most}");
            assert_eq!((budget.waiting(), budget.used(), budget.is_passed.load(Ordering::Relaxed)), (0, 0, false));
        });
    }

    #[test]
    fn who_has_begun_goes_before_who_waits_to_begin() {
        running(async {
            let budget = budget(11 * OVERHEAD, 10);
            let (mut begun, mut other) = (budget.share(), budget.share());
            begun.add(OVERHEAD);
            other.add(5 * OVERHEAD);
            let passing = budget.enter(8 * OVERHEAD, &alone()).await.unwrap();
            let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
            tokio::spawn({
                let (budget, sender) = (budget.clone(), sender.clone());
                async move {
                    let _share = budget.enter(0, &alone()).await.unwrap();
                    sender.send("begins").unwrap();
                }
            });
            tokio::task::yield_now().await;
            tokio::spawn(async move {
                assert!(begun.reserve(3 * OVERHEAD, 0).await);
                sender.send("grows").unwrap();
            });
            tokio::task::yield_now().await;
            drop(other);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert_eq!(budget.used(), 10 * OVERHEAD, "there is space for one, but it is not its turn");
            drop(passing);
            assert_eq!((served.recv().await, served.recv().await), (Some("grows"), Some("begins")));
        });
    }

    #[test]
    fn room_is_set_aside_for_the_size_that_requests_had_lately() {
        running(async {
            let budget = budget(1 << 20, 10);
            for _ in 0..50 {
                budget.enter(budget.guess(), &alone()).await.unwrap().settle(100_000);
            }
            assert!((100_000..125_000).contains(&budget.guess()), "{}", budget.guess());
            let share = budget.enter(budget.guess(), &alone()).await.unwrap();
            assert_eq!(budget.used(), OVERHEAD + budget.guess());
            drop(share);
        });
    }

    #[test]
    fn of_one_connection_no_more_wait_than_leave_half_of_its_window() {
        running(async {
            let budget = budget(OVERHEAD, 1000);
            let held = budget.enter(0, &alone()).await.unwrap();
            let line = Arc::new(Line::new(10 * OVERHEAD, 4 * OVERHEAD));
            let waits: Vec<_> = (0..3)
                .map(|_| {
                    let (budget, line) = (budget.clone(), line.clone());
                    tokio::spawn(async move { budget.enter(2 * OVERHEAD, &line).await.is_some() })
                })
                .collect();
            tokio::task::yield_now().await;
            assert_eq!(budget.waiting(), 2, "of two pages each, where five may be kept");
            drop(held);
            let mut served = Vec::new();
            for wait in waits {
                served.push(wait.await.unwrap());
            }
            assert_eq!(served, [true, true, false]);
            assert_eq!(line.kept.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn who_has_begun_does_not_wait_either_where_too_much_of_it_would_stay_in_the_window() {
        running(async {
            let budget = budget(2 * OVERHEAD, 1000);
            let line = Arc::new(Line::new(10 * OVERHEAD, 4 * OVERHEAD));
            let mut begun = budget.enter(0, &line).await.unwrap();
            let passing = budget.enter(9 * OVERHEAD, &alone()).await.unwrap();
            let _others = line.enter(3 * OVERHEAD);
            let start = tokio::time::Instant::now();
            assert!(!begun.reserve(3 * OVERHEAD, 3 * OVERHEAD).await);
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert!(!begun.reserve(3 * OVERHEAD, 0).await);
            assert_eq!(start.elapsed(), Duration::from_secs(5), "nothing of it is in the window");
            drop(passing);
            assert!(begun.reserve(3 * OVERHEAD, 3 * OVERHEAD).await);
        });
    }

    #[test]
    fn at_the_limit_only_what_has_room_is_read() {
        running(async {
            let budget = budget(80 * OVERHEAD, 10);
            let mut sized = budget.enter(10 * OVERHEAD, &alone()).await.unwrap();
            let unsized_one = budget.enter(OVERHEAD, &alone()).await.unwrap();
            assert!(unsized_one.may_read(20 * OVERHEAD, false), "there is space");
            sized.cover(77 * OVERHEAD);
            assert_eq!(budget.used(), budget.limit());
            assert!(unsized_one.may_read(0, false));
            assert!(!unsized_one.may_read(OVERHEAD, false), "beyond its room");
            sized.cover(90 * OVERHEAD);
            assert!(!unsized_one.may_read(0, false), "its piece may be larger than its room");
            assert!(sized.may_read(10 * OVERHEAD, true) && !sized.may_read(90 * OVERHEAD, true));
        });
    }
}
