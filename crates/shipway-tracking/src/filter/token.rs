//! Splits a filter or an order clause into tokens, each with its position.

use super::FilterError;

/// A token, and where it starts: the number of its first character, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// Bare or back-quoted words joined by periods, such as `metrics.auc` or `` tags.`a b` ``.
    Identifier {
        parts: Vec<Part>,
    },
    Number(f64),
    /// Text in single or double quotes.
    Text(String),
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `(`, `)`, `,`
    Symbol(&'static str),
}

/// One piece of an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) text: String,
    pub(crate) quoted: bool,
}

impl Token {
    /// The token as a bare word, which is how keywords are written.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Identifier { parts } => match parts.as_slice() {
                [Part { text, quoted: false }] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn is_word(&self, keyword: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    /// The token as a message quotes it.
    pub(crate) fn quote(&self) -> String {
        match self {
            Self::Identifier { parts } => {
                parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".")
            }
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Symbol(symbol) => (*symbol).to_owned(),
        }
    }
}

const SYMBOLS: [&str; 9] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","];

/// What can start a token, for the message about text that cannot.
const EXPECTED: &str = "a name, a number, a text in quotes or an operator";

/// The tokens of `text`, or a message that quotes the rest that cannot be read.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, FilterError> {
    let mut found = Vec::new();
    let mut place = Place { text, start: 0, counted: 0, characters: 0 };
    while let Some(at) = place.skip_space() {
        let rest = place.rest();
        let (token, after) = next(rest, at)?;
        place.start += rest.len() - after.len();
        found.push(Placed { token, at });
    }
    Ok(found)
}

/// The position after the last character of `text`.
pub(crate) fn end_of(text: &str) -> usize {
    text.chars().count() + 1
}

/// Counts characters once, however many tokens there are.
struct Place<'a> {
    text: &'a str,
    start: usize,
    /// The bytes that were counted, and the characters in them.
    counted: usize,
    characters: usize,
}

impl<'a> Place<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.start..]
    }

    /// Moves to the next token and says its position; `None` at the end.
    fn skip_space(&mut self) -> Option<usize> {
        let rest = self.rest().trim_start();
        self.start = self.text.len() - rest.len();
        (!rest.is_empty()).then(|| self.position())
    }

    fn position(&mut self) -> usize {
        self.characters += self.text[self.counted..self.start].chars().count();
        self.counted = self.start;
        self.characters + 1
    }
}

fn next(rest: &str, at: usize) -> Result<(Token, &str), FilterError> {
    for symbol in SYMBOLS {
        if let Some(after) = rest.strip_prefix(symbol) {
            return Ok((Token::Symbol(symbol), after));
        }
    }
    let first = rest.chars().next().unwrap_or_default();
    if first == '\'' || first == '"' {
        let (text, after) = quoted(rest, first, at)?;
        return Ok((Token::Text(text), after));
    }
    let signed = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if signed.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') {
        return number(rest, at);
    }
    identifier(rest, at)
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(String, &str), FilterError> {
    let found = rest[1..].split_once(quote).map(|(text, after)| (text.to_owned(), after));
    found.ok_or_else(|| unreadable(rest, at, &format!("a closing {quote}")))
}

fn number(rest: &str, at: usize) -> Result<(Token, &str), FilterError> {
    let mut end = 0;
    for (index, letter) in rest.char_indices() {
        let after_exponent = rest[..index].ends_with(['e', 'E']);
        let sign = (letter == '-' || letter == '+') && (index == 0 || after_exponent);
        if !(letter.is_alphanumeric() || letter == '.' || letter == '_' || sign) {
            break;
        }
        end = index + letter.len_utf8();
    }
    let (digits, after) = rest.split_at(end);
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Token::Number(number), after)),
        _ => Err(unreadable(digits, at, "a number that is not too large")),
    }
}

fn identifier(mut rest: &str, at: usize) -> Result<(Token, &str), FilterError> {
    let whole = rest;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with('`') || (rest.starts_with('"') && !parts.is_empty()) {
            let quote = if rest.starts_with('`') { '`' } else { '"' };
            let (text, after) = quoted(rest, quote, at + whole[..whole.len() - rest.len()].chars().count())?;
            parts.push(Part { text, quoted: true });
            rest = after;
        } else {
            let end = rest
                .char_indices()
                .find(|(_, letter)| !(letter.is_alphanumeric() || *letter == '_'))
                .map_or(rest.len(), |(index, _)| index);
            if end == 0 {
                return Err(unreadable(whole, at, EXPECTED));
            }
            parts.push(Part { text: rest[..end].to_owned(), quoted: false });
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return Ok((Token::Identifier { parts }, rest)),
        }
    }
}

fn unreadable(rest: &str, at: usize, expected: &str) -> FilterError {
    let shown: String = rest.chars().take(60).collect();
    FilterError::at(at, &format!("Invalid clause(s) in filter string: '{shown}'"), expected)
}
