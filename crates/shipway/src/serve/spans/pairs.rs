//! `name=value,name=value` with values percent-encoded, as the variables of OpenTelemetry write headers and attributes.

use percent_encoding::percent_decode_str;

/// The pairs in their order, or what is wrong. Values are never repeated: they may be secret.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').ok_or("each pair is name=value")?;
            let name = name.trim();
            if name.is_empty() {
                return Err("a pair has no name".to_owned());
            }
            let value = percent_decode_str(value.trim()).decode_utf8();
            let value = value.map_err(|_| format!("the value of {name} is no text"))?;
            Ok((name.to_owned(), value.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_flaws_named_without_their_values() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let read = parse(" api-key = a%20b=c , team=x,,").unwrap();
        assert_eq!(read, [pair("api-key", "a b=c"), pair("team", "x")]);
        assert_eq!(parse(""), Ok(Vec::new()));
        assert_eq!(parse("secret"), Err("each pair is name=value".to_owned()));
        assert_eq!(parse("=secret"), Err("a pair has no name".to_owned()));
        assert_eq!(parse("a=%FF"), Err("the value of a is no text".to_owned()));
    }
}
