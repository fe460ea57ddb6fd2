//! Lines of the log say which request they belong to.

use std::fmt::{self, Write as _};

use serde_json::json;
use shipway_web::{CurrentRequest, current_request};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatFields,
        format::{FormatEvent, Writer},
    },
    registry::LookupSpan,
};

/// How the request is written into a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    Text,
    Json,
}

/// Lines as `inner` writes them; those of a request end in what it is.
pub(super) struct WithRequest<F> {
    pub(super) inner: F,
    pub(super) style: Style,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(request) = current_request() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        with_request(&mut line, &request, self.style)?;
        writer.write_str(&line)
    }
}

fn with_request(line: &mut String, request: &CurrentRequest, style: Style) -> fmt::Result {
    let end = line.trim_end().len();
    line.truncate(end);
    match style {
        Style::Text => {
            let CurrentRequest { method, route, trace_id, .. } = request;
            write!(line, " request.id={} request.method={method} request.route={route}", request.id())?;
            if let Some(trace) = trace_id {
                write!(line, " request.trace_id={trace}")?;
            }
        }
        Style::Json => {
            let mut about = json!({ "id": request.id(), "method": request.method, "route": request.route });
            if let Some(trace) = &request.trace_id {
                about["trace_id"] = json!(trace);
            }
            // The line is an object, which is never empty.
            if line.pop() == Some('}') {
                write!(line, ",\"request\":{about}}}")?;
            }
        }
    }
    line.write_char('\n')
}
