//! PURE. What a failure costs: the one total table from failure class to policy, and the wait
//! before the next try (design §5, seed "Error Handling and Recovery").
//!
//! What the next run of a task takes up is a table of its own, `resumption`.
//!
//! Who applies a policy is decided elsewhere: `Pause` and `SpendRun` by the task machine, the
//! others by the phase machine. Nothing here counts or waits.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::api::{agent_task::FailureClass, phase::EscalationReason};

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Wait and run again: nobody's work failed, so nothing is counted.
    Pause,
    /// One of the task's runs is spent; it runs again while some are left.
    SpendRun,
    /// The work is given out anew, with both sides of the conflict in its brief.
    Redispatch,
    /// One of the phase's attempts is spent; a rework follows while some are left.
    SpendAttempt,
    /// Machines cannot settle it: the phase is parked until a person decides.
    AskPerson(EscalationReason),
}

/// The policy for a failure of this class.
pub const fn policy(class: FailureClass) -> Policy {
    match class {
        FailureClass::Infra | FailureClass::RateLimited => Policy::Pause,
        FailureClass::AgentError | FailureClass::Timeout | FailureClass::Stalled | FailureClass::NoChange => {
            Policy::SpendRun
        }
        FailureClass::Conflict => Policy::Redispatch,
        FailureClass::GateFailed | FailureClass::ReviewFailed | FailureClass::CriteriaUnmet => Policy::SpendAttempt,
        FailureClass::Inconclusive => Policy::AskPerson(EscalationReason::Inconclusive),
        FailureClass::Gamed => Policy::AskPerson(EscalationReason::Gamed),
        FailureClass::BudgetExceeded => Policy::AskPerson(EscalationReason::BudgetExceeded),
    }
}

/// Whether the next run of a task takes up the work that a failed one saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// It does: the run was cut short, and what it wrote is good as far as it goes.
    Continue,
    /// It does, unless the failed run had itself begun from saved work: that work may be what it fails on.
    ContinueOnce,
    /// It starts from the commit.
    Afresh,
}

/// What the next run begins with after a failure of this class; `refused`: the work tree could not be taken.
///
/// An agent that ended with an error leaves more good than bad (the most frequent error is a provider's), so its work is
/// taken up; but only once, since a tree on which an agent fails twice would use up every run that the task has. A run
/// that changed nothing has nothing to continue, and what it was given and took back must not come again. Classes that
/// end a task are followed by a task of its own, from a commit of its own.
pub const fn resumption(class: FailureClass, refused: bool) -> Resumption {
    if refused {
        return Resumption::Afresh;
    }
    match class {
        FailureClass::Infra | FailureClass::RateLimited | FailureClass::Timeout | FailureClass::Stalled => {
            Resumption::Continue
        }
        FailureClass::AgentError => Resumption::ContinueOnce,
        FailureClass::NoChange
        | FailureClass::Conflict
        | FailureClass::GateFailed
        | FailureClass::ReviewFailed
        | FailureClass::CriteriaUnmet
        | FailureClass::Inconclusive
        | FailureClass::Gamed
        | FailureClass::BudgetExceeded => Resumption::Afresh,
    }
}

/// The wait before the try that follows the `n`-th failure in a row (counted from 1): `initial`,
/// doubled each time, at most `max`, less up to a fifth of jitter.
///
/// The jitter depends on `seed` and `n` alone, so that a restart computes the same wait; take the
/// UID of the object as seed. Jitter is taken off and never added: even the longest waits spread,
/// and none passes `max`.
pub fn backoff(initial: Duration, max: Duration, n: u32, seed: &str) -> Duration {
    let doublings = n.saturating_sub(1).min(31);
    let full = initial.saturating_mul(1 << doublings).min(max);
    let off = full / 5 / 1000 * jitter_permille(seed, n);
    full.saturating_sub(off)
}

/// 0 to 999, evenly spread over seeds and counts.
fn jitter_permille(seed: &str, n: u32) -> u32 {
    let digest = Sha256::new().chain_update(seed.as_bytes()).chain_update(n.to_be_bytes()).finalize();
    let bytes = <[u8; 32]>::from(digest);
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::broken_infrastructure_spends_nothing(FailureClass::Infra, Policy::Pause)]
    #[case::a_provider_that_asks_to_slow_down_spends_nothing(FailureClass::RateLimited, Policy::Pause)]
    #[case::an_agent_that_ends_with_an_error_spends_a_run(FailureClass::AgentError, Policy::SpendRun)]
    #[case::an_agent_that_takes_too_long_spends_a_run(FailureClass::Timeout, Policy::SpendRun)]
    #[case::an_agent_without_a_sign_of_life_spends_a_run(FailureClass::Stalled, Policy::SpendRun)]
    #[case::an_agent_that_does_nothing_spends_a_run(FailureClass::NoChange, Policy::SpendRun)]
    #[case::a_conflict_is_given_out_anew(FailureClass::Conflict, Policy::Redispatch)]
    #[case::a_failed_gate_spends_an_attempt(FailureClass::GateFailed, Policy::SpendAttempt)]
    #[case::a_low_score_spends_an_attempt(FailureClass::ReviewFailed, Policy::SpendAttempt)]
    #[case::an_unmet_criterion_spends_an_attempt(FailureClass::CriteriaUnmet, Policy::SpendAttempt)]
    #[case::a_check_that_never_starts_asks_a_person(
        FailureClass::Inconclusive,
        Policy::AskPerson(EscalationReason::Inconclusive)
    )]
    #[case::a_gamed_gate_asks_a_person(FailureClass::Gamed, Policy::AskPerson(EscalationReason::Gamed))]
    #[case::a_spent_budget_asks_a_person(
        FailureClass::BudgetExceeded,
        Policy::AskPerson(EscalationReason::BudgetExceeded)
    )]
    fn a_failure_costs_what_it_should(#[case] class: FailureClass, #[case] expected: Policy) {
        assert_eq!(policy(class), expected);
    }

    #[rstest]
    #[case::the_cluster_cut_it_short(FailureClass::Infra, Resumption::Continue)]
    #[case::the_provider_cut_it_short(FailureClass::RateLimited, Resumption::Continue)]
    #[case::its_time_was_over(FailureClass::Timeout, Resumption::Continue)]
    #[case::it_stood_still(FailureClass::Stalled, Resumption::Continue)]
    #[case::an_error_may_lie_in_the_work(FailureClass::AgentError, Resumption::ContinueOnce)]
    #[case::nothing_was_changed(FailureClass::NoChange, Resumption::Afresh)]
    #[case::a_conflict_starts_from_another_commit(FailureClass::Conflict, Resumption::Afresh)]
    #[case::a_rework_starts_from_another_commit(FailureClass::GateFailed, Resumption::Afresh)]
    #[case::a_review(FailureClass::ReviewFailed, Resumption::Afresh)]
    #[case::a_criterion(FailureClass::CriteriaUnmet, Resumption::Afresh)]
    #[case::a_check_saves_nothing(FailureClass::Inconclusive, Resumption::Afresh)]
    #[case::a_gamed_change(FailureClass::Gamed, Resumption::Afresh)]
    #[case::a_spent_budget(FailureClass::BudgetExceeded, Resumption::Afresh)]
    fn a_run_that_was_cut_short_is_continued(#[case] class: FailureClass, #[case] expected: Resumption) {
        assert_eq!(resumption(class, false), expected);
        assert_eq!(resumption(class, true), Resumption::Afresh, "a work tree that was refused is never taken up");
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let wait = |n| backoff(Duration::from_secs(30), Duration::from_mins(10), n, "uid").as_secs_f64();
        for (n, full) in [(1, 30.0), (2, 60.0), (3, 120.0), (4, 240.0), (5, 480.0), (6, 600.0), (4000, 600.0)] {
            assert!((full * 0.8..=full).contains(&wait(n)), "wait {n} is {}", wait(n));
        }
    }

    #[test]
    fn different_objects_wait_differently() {
        let wait = |seed| backoff(Duration::from_mins(10), Duration::from_mins(10), 1, seed);
        assert_ne!(wait("one"), wait("two"));
    }

    proptest! {
        #[test]
        fn a_wait_never_passes_its_limit_and_is_the_same_again(initial in 0_u32..100_000, max in 0_u32..100_000, n: u32, seed: String) {
            let (initial, max) = (Duration::from_secs(initial.into()), Duration::from_secs(max.into()));
            let wait = backoff(initial, max, n, &seed);
            prop_assert!(wait <= max);
            prop_assert!(wait >= initial.min(max) * 4 / 5);
            prop_assert_eq!(wait, backoff(initial, max, n, &seed));
        }
    }
}
