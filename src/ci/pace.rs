//! How often a key may call: in bursts, and then a few times a second.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Calls that a key may make at once.
const BURST: f64 = 60.0;
/// Calls per second that it may make for ever.
const RATE: f64 = 5.0;

/// What is left of each key's calls. In memory: another replica allows as many again, which is no harm.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, (f64, Instant)>>);

impl Pace {
    /// Whether this key may call now; if so, the call is counted.
    pub(super) fn may_call(&self, key: &str) -> bool {
        self.may_call_at(key, Instant::now())
    }

    fn may_call_at(&self, key: &str, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, at) = all.entry(key.to_owned()).or_insert((BURST, now));
        let gained = now.saturating_duration_since(*at).as_secs_f64() * RATE;
        (*left, *at) = ((*left + gained).min(BURST), now);
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_that_calls_too_often_waits_and_no_other_with_it() {
        let (pace, start) = (Pace::default(), Instant::now());
        let calls =
            |key: &str, at: Duration, count: usize| (0..count).filter(|_| pace.may_call_at(key, start + at)).count();
        assert_eq!(calls("a", Duration::ZERO, 100), 60);
        assert_eq!(calls("b", Duration::ZERO, 10), 10);
        assert_eq!(calls("a", Duration::from_secs(2), 100), 10);
        assert_eq!(calls("a", Duration::from_secs(3600), 100), 60);
    }
}
