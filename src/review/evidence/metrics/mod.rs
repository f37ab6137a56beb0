//! Measurements: names and numbers, as OpenMetrics text or as JSON. Only those that a target asks for are kept.

mod json;
mod number;
mod text;

use super::{Broken, Facts};
use crate::api::{
    common::Quantity,
    evidence::{Measurement, Report, Target},
};

/// Reads measurements. A file without any is Empty; one without a wanted one says so in the score.
pub(super) fn read(report: &Report, text: &str) -> Result<Facts, Broken> {
    let mut wanted = Wanted::new(&report.targets);
    let any = if text.trim_start().starts_with('{') {
        json::read(text, &mut wanted)?
    } else {
        text::read(text, &mut wanted)?
    };
    if !any {
        return Err(Broken::empty("no measurement is in it"));
    }
    Ok(Facts { measurements: wanted.measured, ..Facts::default() })
}

/// What the targets ask for.
struct Wanted {
    measured: Vec<Measurement>,
}

impl Wanted {
    fn new(targets: &[Target]) -> Self {
        Self { measured: targets.iter().map(|target| Measurement { target: target.clone(), value: None }).collect() }
    }

    /// Takes a number for every target that `is_meant` says it is for. It is cut to millionths so that it
    /// never looks better than it was measured.
    fn take(&mut self, is_meant: impl Fn(&str) -> bool, number: &str) -> Result<(), Broken> {
        for measured in self.measured.iter_mut().filter(|measured| is_meant(&measured.target.metric)) {
            let name = super::plain(&measured.target.metric, 256);
            let up = measured.target.at_least.is_none();
            let value = number::millionths(number, up).map_err(|why| Broken::invalid(format!("{name}: {why}")))?;
            if measured.value.replace(Quantity::from_millionths(value)).is_some() {
                return Err(Broken::invalid(format!("{name} is there twice; which one counts cannot be told")));
            }
        }
        Ok(())
    }
}
