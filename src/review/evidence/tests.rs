//! Reports of real tools, and traps.
