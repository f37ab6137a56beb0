//! `kubectl phasegate`: approve, why and the like, for people.
