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

/// The transfers of a service.
#[derive(Debug)]
pub(super) struct Transfers {
    all: Arc<Semaphore>,
    each: usize,
    callers: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The right to one transfer, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _of_all: OwnedSemaphorePermit,
    _of_caller: OwnedSemaphorePermit,
}

/// Why there was none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The caller has as many as one may have.
    OfCaller(usize),
    /// The service is full.
    OfAll,
}

impl Transfers {
    /// So many at once.
    pub(super) fn new(most: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(most)), each: (most / SHARE).max(1), callers: Mutex::default() }
    }

    /// Waits for a permit, first for the caller's own and then for one of all, each at most so long.
    pub(super) async fn wait(&self, caller: &str, longest: Duration) -> Result<Permit, Full> {
        let of_caller = acquire(self.of(caller), longest).await.ok_or(Full::OfCaller(self.each))?;
        let of_all = acquire(Arc::clone(&self.all), longest).await.ok_or(Full::OfAll)?;
        Ok(Permit { _of_all: of_all, _of_caller: of_caller })
    }

    /// The caller's own, shared by all that it has or waits for.
    fn of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(own) = callers.get(caller).and_then(Weak::upgrade) {
            return own;
        }
        // As many stay as have a permit or wait for one.
        callers.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(self.each));
        callers.insert(caller.to_owned(), Arc::downgrade(&own));
        own
    }
}

async fn acquire(semaphore: Arc<Semaphore>, longest: Duration) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout(longest, semaphore.acquire_owned()).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_caller_that_takes_all_it_can_leaves_room_for_others() {
        let transfers = Transfers::new(8);
        let taken = [transfers.wait("greedy", SOON).await.unwrap(), transfers.wait("greedy", SOON).await.unwrap()];
        assert_eq!(transfers.wait("greedy", SOON).await.unwrap_err(), Full::OfCaller(2));
        let other = transfers.wait("other", SOON).await.unwrap();
        drop(taken);
        transfers.wait("greedy", SOON).await.unwrap();
        drop(other);
        transfers.wait("third", SOON).await.unwrap();
        assert_eq!(transfers.callers.lock().unwrap().len(), 1, "who has no permit is forgotten");
    }

    #[tokio::test]
    async fn a_full_service_says_so_and_the_next_gets_what_is_given_back() {
        let transfers = Transfers::new(1);
        let taken = transfers.wait("a", SOON).await.unwrap();
        assert_eq!(transfers.wait("b", SOON).await.unwrap_err(), Full::OfAll);
        let (next, ()) = tokio::join!(transfers.wait("b", Duration::from_secs(20)), async { drop(taken) });
        next.unwrap();
    }
}
