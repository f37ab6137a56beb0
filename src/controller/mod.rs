//! Reconcilers: watch, wake, observe (all reads), decide (pure), execute (idempotent writes), status last (design §10).
