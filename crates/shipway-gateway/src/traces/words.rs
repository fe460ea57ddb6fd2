//! Texts as they are searched: words in small letters, one space before and behind each, so that a word or a phrase is found as a whole by
//! looking for its bytes. Pure.

/// The most phrases that are looked for at once.
const MOST_PHRASES: usize = 16;

/// Texts as they are kept to be searched. Letters and digits are words, everything else stands between them. Of scripts that are written
/// without spaces each sign is a word.
pub(super) fn words<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut out = String::new();
    for text in texts {
        let before = out.len();
        // No phrase goes from one text into the next.
        if before > 0 {
            out.push('\n');
        }
        append(text, &mut out);
        match out.len() > before + 1 {
            true => out.push(' '),
            false => out.truncate(before),
        }
    }
    out
}

fn append(text: &str, out: &mut String) {
    let mut is_within = false;
    for character in text.chars() {
        if !character.is_alphanumeric() {
            is_within = false;
            continue;
        }
        let is_alone = stands_alone(character);
        if !is_within || is_alone {
            out.push(' ');
        }
        out.extend(character.to_lowercase().filter(|letter| letter.is_alphanumeric()));
        is_within = !is_alone;
    }
}

/// Han, kana, Thai, Lao, Khmer, Burmese.
const fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// What is looked for, each as it stands in [`words`]: all of it must be there. What is between quotes is one phrase, and so is what has
/// no space within. Says what is wrong otherwise.
pub(super) fn phrases(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (place, part) in text.split('"').enumerate() {
        let is_quoted = place % 2 == 1;
        let units: Vec<&str> = if is_quoted { vec![part] } else { part.split_whitespace().collect() };
        found.extend(
            units.into_iter().map(|unit| words(std::iter::once(unit))).filter(|phrase| !phrase.is_empty()),
        );
    }
    found.sort();
    found.dedup();
    if text.matches('"').count() % 2 == 1 {
        return Err("a quote is open".to_owned());
    }
    if found.is_empty() {
        return Err("there is no word in it".to_owned());
    }
    if found.len() > MOST_PHRASES {
        return Err(format!("it has more than {MOST_PHRASES} words and phrases"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, looked_for: &str) -> bool {
        let kept = words(std::iter::once(text));
        phrases(looked_for).unwrap().iter().all(|phrase| kept.contains(phrase.as_str()))
    }

    #[test]
    fn whole_words_are_found_whatever_their_case_and_several_are_all() {
        let text = "The quick brown Fox, (jumps) over \u{c4}RGER: foo_bar-baz 3.14";
        for looked_for in
            ["fox", "FOX quick", "jumps", "\u{e4}rger", "baz foo", "3.14", "foo_bar", "over. fox!"]
        {
            assert!(finds(text, looked_for), "{looked_for}");
        }
        for looked_for in ["fo", "quic", "fox dog", "rger", "14.3", "bar_foo"] {
            assert!(!finds(text, looked_for), "{looked_for}");
        }
    }

    #[test]
    fn quotes_are_a_phrase() {
        let text = "the quick brown fox";
        assert!(finds(text, "\"quick brown\"") && finds(text, "fox \"the quick\""));
        assert!(!finds(text, "\"brown quick\"") && !finds(text, "\"quick fox\""));
        assert!(finds("\u{4eca}\u{5929}\u{5929}\u{6c14}\u{5f88}\u{597d}", "\u{5929}\u{6c14}"));
        assert!(!finds("\u{4eca}\u{5929}\u{5929}\u{6c14}\u{5f88}\u{597d}", "\u{6c14}\u{5929}"));
    }

    #[test]
    fn what_has_no_word_is_refused() {
        assert!(phrases("  \"\" ...").unwrap_err().contains("no word"));
        assert!(phrases("\"open").unwrap_err().contains("open"));
        let many: Vec<String> = (0..17).map(|number| format!("w{number}")).collect();
        assert!(phrases(&many.join(" ")).unwrap_err().contains("more than 16"));
        assert_eq!(words(std::iter::empty()), "");
        assert_eq!(words(["a", "!", "b c"].into_iter()), " a \n b c ");
    }
}
