//! Pages of what lies at providers, as lists of OpenAI's API have them.

use shipway_core::Timestamp;
use shipway_store::SqlValue;

/// Which rows of a list.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// How many at most.
    pub(crate) limit: u32,
    /// Those behind this row: when it was created, and its id.
    pub(crate) after: Option<(Timestamp, String)>,
    /// The oldest first; otherwise the newest.
    pub(crate) is_ascending: bool,
}

impl Page {
    /// The statement that selects the page and one row more, out of the rows whose columns have these values; one without a value may
    /// have any.
    pub(super) fn select(
        &self,
        table: &str,
        columns: &str,
        wanted: &[(&str, Option<&str>)],
    ) -> (String, Vec<SqlValue>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for (column, value) in wanted {
            if let Some(value) = value {
                values.push(SqlValue::from(*value));
                conditions.push(format!("{column} = ${}", values.len()));
            }
        }
        let (order, beyond) = if self.is_ascending { ("ASC", ">") } else { ("DESC", "<") };
        if let Some((created, id)) = &self.after {
            values.push(SqlValue::from(*created));
            values.push(SqlValue::from(id.as_str()));
            conditions.push(format!("(created_us, id) {beyond} (${}, ${})", values.len() - 1, values.len()));
        }
        values.push(SqlValue::from(i64::from(self.limit) + 1));
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE {} ORDER BY created_us {order}, id {order} LIMIT ${}",
            conditions.join(" AND "),
            values.len()
        );
        (sql, values)
    }
}
