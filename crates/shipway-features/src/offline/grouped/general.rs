//! Features that ranges have no way for: windows that slide over the events of each key, value by value.

use arrow::array::ArrayRef;
use shipway_aggregate::{AggregationError, EventOrder, Ranges, SlidingWindow};
use shipway_core::{Timestamp, Value};

use super::{
    super::{column::ColumnBuilder, view_plan::PlannedFeature},
    directory::ShareRows,
    share::Events,
};

/// The answers of one feature for the rows of a share.
pub(super) fn answer(
    feature: &PlannedFeature,
    rows: &ShareRows,
    events: &Events,
    ranges: Ranges<'_>,
) -> Result<ArrayRef, AggregationError> {
    let mut answers = ColumnBuilder::new(feature.aggregation.output_type(), rows.times.len());
    let cell =
        |input: Option<usize>, event| input.map_or(Value::Null, |input| events.inputs[input].value(event));
    for (of_rows, of_events) in rows.starts.windows(2).zip(events.starts.windows(2)) {
        let mut window = SlidingWindow::new(feature.aggregation, feature.window);
        let mut next = of_events[0];
        for row in of_rows[0] as usize..of_rows[1] as usize {
            // What has left the window of this row is in that of no later one.
            next = next.max(ranges.from[row]);
            for event in next as usize..ranges.to[row] as usize {
                let id = events.event_ids.as_ref().map_or(&[][..], |ids| ids.text(event));
                let event_id = std::str::from_utf8(id).unwrap_or_default();
                let at = EventOrder { time: Timestamp(events.times[event]), event_id };
                window.push_in(&cell(feature.input, event), &cell(feature.bucket, event), at)?;
            }
            next = next.max(ranges.to[row]);
            let value = window.value_at(Timestamp(rows.times[row]))?;
            if !answers.append(&value) {
                return Err(AggregationError::Foreign);
            }
        }
    }
    Ok(answers.finish())
}
