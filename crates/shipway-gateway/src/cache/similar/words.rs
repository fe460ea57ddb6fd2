//! What the words of two questions say about whether one answer may serve both, whatever their vectors say: vectors of texts that
//! differ in a number or a name are close.

/// What stands between words without deciding anything.
const PUNCTUATION: &[char] = &[
    '.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', '…',
    '¿', '¡', '。', '、', '，', '？', '！', '：', '；', '「', '」',
];
const QUOTES: &[(char, char)] = &[('"', '"'), ('`', '`'), ('“', '”'), ('„', '“'), ('«', '»'), ('「', '」')];
/// From here on, scripts write words without spaces.
const FIRST_WITHOUT_SPACES: char = '\u{2e80}';

/// The words of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// All of them, in small letters; signs that may decide something are words too.
    all: Vec<String>,
    /// What two questions that are about the same have in common: numbers, and what stands in quotes, in their order.
    decisive: Vec<String>,
}

/// What is said of two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Only their case, white space and punctuation differ.
    SameWords,
    /// Their vectors decide.
    Perhaps,
    /// They are about different things: other numbers, other quotes, or one template with something else in it.
    Different,
}

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let all = split(text);
        let mut decisive: Vec<String> = all.iter().filter(|word| decides(word)).cloned().collect();
        decisive.extend(quoted(text));
        Self { all, decisive }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.all.iter().chain(&self.decisive).map(|word| word.len() + size_of::<String>()).sum()
    }

    pub(crate) fn compare(&self, other: &Self) -> Verdict {
        if self.decisive != other.decisive {
            return Verdict::Different;
        }
        if self.all == other.all {
            return Verdict::SameWords;
        }
        if self.is_template_of(other) { Verdict::Different } else { Verdict::Perhaps }
    }

    /// Whether both begin and end alike in most of their words, so that what differs is what was put in.
    fn is_template_of(&self, other: &Self) -> bool {
        let (one, two) = (&self.all, &other.all);
        let shorter = one.len().min(two.len());
        let head = one.iter().zip(two).take_while(|(left, right)| left == right).count();
        let tail = one.iter().rev().zip(two.iter().rev()).take_while(|(left, right)| left == right).count();
        let common = (head + tail).min(shorter);
        common * 2 >= one.len().max(two.len())
    }
}

/// A number, or a sign.
fn decides(word: &str) -> bool {
    word.chars().any(char::is_numeric) || !word.chars().any(char::is_alphanumeric)
}

fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = text.chars().collect();
    for (at, letter) in letters.iter().copied().enumerate() {
        let before = at.checked_sub(1).and_then(|before| letters.get(before)).copied().unwrap_or(' ');
        let after = letters.get(at + 1).copied().unwrap_or(' ');
        // `1.5` and `1,5` are one number, and the apostrophe of `don't` is within a word.
        let is_within = (matches!(letter, '.' | ',') && before.is_numeric() && after.is_numeric())
            || (matches!(letter, '\'' | '’') && before.is_alphabetic() && after.is_alphabetic());
        let is_alone = letter >= FIRST_WITHOUT_SPACES && letter.is_alphanumeric();
        if (letter.is_alphanumeric() && !is_alone) || is_within {
            word.extend(letter.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if is_alone || !(letter.is_whitespace() || letter.is_control() || PUNCTUATION.contains(&letter)) {
            words.push(letter.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What stands in quotes, as it is written.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((at, open)) =
        rest.char_indices().find(|(_, letter)| QUOTES.iter().any(|(open, _)| open == letter))
    {
        rest = &rest[at + open.len_utf8()..];
        let close = QUOTES.iter().find(|(first, _)| *first == open).map_or(open, |(_, close)| *close);
        let Some(end) = rest.find(close) else { continue };
        found.push(rest[..end].to_owned());
        rest = &rest[end + close.len_utf8()..];
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(one: &str, two: &str) -> Verdict {
        Words::of(one).compare(&Words::of(two))
    }

    #[test]
    fn case_space_and_punctuation_are_no_difference() {
        for (one, two) in [
            ("How do I reset my password?", "how do i reset  my password"),
            ("Wie hoch ist der Turm?", "wie hoch ist der Turm ?!"),
            ("東京の天気は？", "東京の天気は"),
        ] {
            assert_eq!(compare(one, two), Verdict::SameWords, "{one} / {two}");
        }
    }

    #[test]
    fn other_words_for_the_same_are_left_to_their_vectors() {
        for (one, two) in [
            ("How do I reset my password?", "I forgot my password, what now?"),
            ("What is the capital of France?", "Tell me France's capital"),
            ("Summarise the 3 laws of Newton", "Give me a summary of Newton's 3 laws"),
        ] {
            assert_eq!(compare(one, two), Verdict::Perhaps, "{one} / {two}");
        }
    }

    #[test]
    fn numbers_quotes_signs_and_slots_decide() {
        for (one, two) in [
            ("Convert 5 miles into kilometres please", "Please: kilometres of 50 miles"),
            ("What is 2+2 by the way?", "By the way, what would be 2-2?"),
            ("Translate \"good morning\" to French", "To French: \"good night\", translate"),
            ("What is the capital of France?", "What is the capital of Germany?"),
            (
                "You are a translator. Keep names as they are. Translate the following line to German: the sun is out",
                "You are a translator. Keep names as they are. Translate the following line to German: my cat sleeps",
            ),
            ("rate 1.5 or more of it all", "is it at a rate of 15"),
            ("東京の天気は", "大阪の天気は"),
        ] {
            assert_eq!(compare(one, two), Verdict::Different, "{one} / {two}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_its_own_words_and_a_verdict_is_mutual(one in ".{0,60}", two in ".{0,60}") {
            prop_assert_eq!(compare(&one, &one), Verdict::SameWords);
            prop_assert_eq!(compare(&one, &two), compare(&two, &one));
        }
    }
}
