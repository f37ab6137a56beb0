//! PURE. The result as a table for people.

use comfy_table::{CellAlignment, Table, presets};

use super::tally::{Row, Spread, Tally};

/// The table, and what it counts.
pub(super) fn table(tally: &Tally) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(["CATEGORY", "PLANTED", "CAUGHT", "OTHER CATEGORY", "MISSED", "FALSE ALARMS"]);
    for row in tally.categories.iter().chain([&tally.total]) {
        let Row { category, planted, caught, other_category, missed, false_alarms } = row;
        let counts = [caught, other_category, missed, false_alarms].map(spread);
        table.add_row([category.clone(), planted.to_string()].into_iter().chain(counts));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n\n{}", lines.join("\n"), foot(tally))
}

fn foot(tally: &Tally) -> String {
    let Tally { cases, clean, repeated, clean_passed, without_review, runs, .. } = tally;
    let over = match repeated {
        1 => "seen once".to_owned(),
        many => format!("each seen {many} times: minimum/median/maximum"),
    };
    format!(
        "{cases} cases, {clean} of them clean, {over}\nclean cases without a false alarm: {} of {clean}\nruns without a \
         review: {without_review} of {}",
        spread(clean_passed),
        runs.len()
    )
}

/// One number if all runs agree.
fn spread(spread: &Spread) -> String {
    let Spread { min, median, max } = spread;
    if min == max { min.to_string() } else { format!("{min}/{median}/{max}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::evidence::Severity,
        runner::calibrate::tally::{
            tally,
            tests::{case, finding, run},
        },
    };

    #[test]
    fn the_table_is_as_reviewed() {
        let categories = ["security", "functionality"].map(str::to_owned);
        let cases = [
            case("hole", &[("security", "a.py", Some([3, 4])), ("functionality", "b.py", Some([9, 9]))]),
            case("clean", &[]),
        ];
        let hole = || finding(Severity::Critical, "security", "a.py", 3);
        let runs = vec![
            run(0, 1, Some(vec![hole(), finding(Severity::Minor, "security", "b.py", 9)])),
            run(1, 1, Some(vec![])),
            run(0, 2, Some(vec![hole()])),
            run(1, 2, Some(vec![finding(Severity::Major, "functionality", "a.py", 1)])),
            run(0, 3, None),
            run(1, 3, Some(vec![])),
        ];
        insta::assert_snapshot!(table(&tally(&categories, &cases, runs)));
    }
}
