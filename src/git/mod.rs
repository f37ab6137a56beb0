//! Branches, merges and tags: `flow` is pure rules, the rest is the git service that executes them (design §8).
