//! What runs in task pods: prepare, step, companion, sync, replay; and the operator's side of the runner API (design §6).
