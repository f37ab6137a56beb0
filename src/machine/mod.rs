//! PURE. What to do next, decided from a snapshot: no clock, client or async (design §10).
