//! Heartbeats stay out of the API server (design §4): at most one write of a kind in two seconds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Shortest time between two writes of one kind by one pod.
const PAUSE: Duration = Duration::from_secs(2);

/// When which pod last wrote what. In memory: another replica allows one write more, which is no harm.
#[derive(Debug)]
pub(super) struct Pace {
    written: Mutex<HashMap<(String, &'static str), Instant>>,
    clock: fn() -> Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self::by(Instant::now)
    }
}

impl Pace {
    /// By this clock; a test has one that stands still.
    pub(super) fn by(clock: fn() -> Instant) -> Self {
        Self { written: Mutex::default(), clock }
    }

    /// Whether this pod may write this kind now; if so, the next pause begins.
    pub(super) fn is_due(&self, pod: &str, kind: &'static str) -> bool {
        self.is_due_at(pod, kind, (self.clock)())
    }

    fn is_due_at(&self, pod: &str, kind: &'static str, now: Instant) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
        let due = !written.contains_key(&(pod.to_owned(), kind));
        if due {
            written.insert((pod.to_owned(), kind), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_writes_each_kind_once_in_two_seconds_and_is_forgotten_after() {
        let (pace, start) = (Pace::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(pace.is_due_at("a", "plan", at(0)));
        assert!(!pace.is_due_at("a", "plan", at(1999)));
        assert!(pace.is_due_at("a", "progress", at(1999)) && pace.is_due_at("b", "plan", at(1999)));
        assert!(pace.is_due_at("a", "plan", at(2000)));
        assert!(pace.is_due_at("c", "plan", at(9000)));
        assert_eq!(pace.written.lock().unwrap().len(), 1);
    }
}
