//! How many transfers run at once: of all callers together, and of one.
//!
//! A transfer lasts as long as its client likes to read, up to a limit of half an hour. A caller that begins many and reads none
//! must not keep all others from their code.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One caller may have this share of all transfers, and at least one.
const SHARE: usize = 4;

/// The turns of a service.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    callers: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The right to one transfer, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_caller: OwnedSemaphorePermit,
    /// Kept alive for the next one of the caller to find.
    _caller: Arc<Semaphore>,
}

/// Why there was no turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// The caller has as many as one may have.
    OfCaller(usize),
    /// The service is full.
    OfAll,
}

impl Turns {
    /// So many at once.
    pub(super) fn new(most: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(most)), each: (most / SHARE).max(1), callers: Mutex::default() }
    }

    /// Waits for a turn, first for the caller's own and then for one of all, each at most so long.
    pub(super) async fn wait(&self, caller: &str, longest: Duration) -> Result<Turn, NoTurn> {
        let own = self.of(caller);
        let of_caller = acquire(&own, longest).await.ok_or(NoTurn::OfCaller(self.each))?;
        let of_all = acquire(&self.all, longest).await.ok_or(NoTurn::OfAll)?;
        Ok(Turn { _of_all: of_all, _of_caller: of_caller, _caller: own })
    }

    /// The caller's own, shared by all that it has or waits for.
    fn of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(own) = callers.get(caller).and_then(Weak::upgrade) {
            return own;
        }
        // As many stay as have a turn or wait for one.
        callers.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(self.each));
        callers.insert(caller.to_owned(), Arc::downgrade(&own));
        own
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, longest: Duration) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout(longest, Arc::clone(semaphore).acquire_owned()).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_caller_that_takes_all_it_can_leaves_room_for_others() {
        let turns = Turns::new(8);
        let taken = [turns.wait("greedy", SOON).await.unwrap(), turns.wait("greedy", SOON).await.unwrap()];
        assert_eq!(turns.wait("greedy", SOON).await.unwrap_err(), NoTurn::OfCaller(2));
        let other = turns.wait("other", SOON).await.unwrap();
        drop(taken);
        turns.wait("greedy", SOON).await.unwrap();
        drop(other);
        turns.wait("third", SOON).await.unwrap();
        assert_eq!(turns.callers.lock().unwrap().len(), 1, "who has no turn is forgotten");
    }

    #[tokio::test]
    async fn a_full_service_says_so_and_the_next_gets_what_is_given_back() {
        let turns = Turns::new(1);
        let taken = turns.wait("a", SOON).await.unwrap();
        assert_eq!(turns.wait("b", SOON).await.unwrap_err(), NoTurn::OfAll);
        let (next, ()) = tokio::join!(turns.wait("b", Duration::from_secs(20)), async { drop(taken) });
        next.unwrap();
    }
}
