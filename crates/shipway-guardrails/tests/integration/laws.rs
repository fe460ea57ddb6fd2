//! What holds for every text.

use std::sync::LazyLock;

use proptest::prelude::*;
use shipway_guardrails::{Change, Finder, LONGEST_HELD_BYTES, Settled, Vault, Watched, Window};

use crate::finder;

const ALL: &str = r#"{"personal":["email","phone","credit_card","iban","us_ssn","ip_address"]}"#;

static FINDERS: LazyLock<Vec<Finder>> = LazyLock::new(|| {
    [
        ALL,
        r#"{"secrets":["api_key","private_key","jwt","high_entropy"]}"#,
        r#"{"unicode":["tags","bidi","zero_width","variation_selectors"]}"#,
        r#"{"urls":{"allow":["example.com"]}}"#,
        r#"{"patterns":{"word":"\\bsecret\\w*\\b","line":"<[^>]*>"}}"#,
    ]
    .map(finder)
    .into()
});

/// Texts that are full of what is looked for, of beginnings of it and of what stands in its place.
fn texts() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("ada@example.com".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("192.168.0.1".to_owned()),
        Just("+49 30 901820".to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("https://bad.net/x".to_owned()),
        Just("<EMAIL_1>".to_owned()),
        Just("<EMAIL_".to_owned()),
        Just("<CREDIT_CARD_2>".to_owned()),
        Just("secrets".to_owned()),
        Just("\u{200B}".to_owned()),
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        "[a-z0-9@.<>_ -]{0,6}",
        "\\PC{0,4}",
    ];
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

/// The text with placeholders for everything that is found.
fn redacted(text: &str, finder: &Finder, vault: &mut Vault) -> String {
    vault.avoid(text);
    let (mut out, mut at) = (String::new(), 0);
    for finding in finder.find(text) {
        out.push_str(&text[at..finding.range.start]);
        out.push_str(&vault.put(&finding.label, &text[finding.range.clone()]));
        at = finding.range.end;
    }
    out + &text[at..]
}

/// Cuts a text into pieces at these places.
fn pieces<'t>(text: &'t str, cuts: &[usize]) -> Vec<&'t str> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    places.retain(|place| text.is_char_boundary(*place));
    places.sort_unstable();
    places.push(text.len());
    let mut start = 0;
    places
        .into_iter()
        .map(|end| {
            let piece = &text[start..end];
            start = end;
            piece
        })
        .collect()
}

/// Every change that a window tells of a text that comes in pieces; what was settled before is never changed.
fn watched(detectors: &[Finder], vault: &Vault, pieces: &[&str]) -> Vec<(std::ops::Range<usize>, Change)> {
    let watched: Vec<Watched<'_>> =
        detectors.iter().map(|finder| Watched { finder, replaces: true }).collect();
    let (mut window, mut all, mut settled) = (Window::default(), Vec::new(), 0);
    for (place, piece) in pieces.iter().enumerate() {
        window.push(piece);
        let is_over = place + 1 == pieces.len();
        let Settled { upto, changes } = window.settle(&watched, vault, is_over, &mut |_| {});
        assert!(upto >= settled && upto <= window.len());
        for (range, _) in &changes {
            assert!(range.start >= settled, "{range:?} begins in what was let go up to {settled}");
        }
        all.extend(changes);
        settled = upto;
        for (range, _) in &all {
            assert!(
                range.end <= settled || range.start >= settled,
                "{range:?} is let go in two parts at {settled}"
            );
        }
    }
    assert_eq!(settled, window.len());
    all.sort_by_key(|(range, change)| (range.start, range.end, format!("{change:?}")));
    all
}

proptest! {
    #[test]
    fn what_is_put_back_is_what_was_taken_out(text in texts()) {
        for finder in &*FINDERS {
            let mut vault = Vault::default();
            let hidden = redacted(&text, finder, &mut vault);
            prop_assert_eq!(vault.restore(&hidden), text.clone());
        }
    }

    /// Also where a text has been redacted by one detector after the other, and a second text shares the placeholders.
    #[test]
    fn two_texts_share_placeholders_and_both_come_back(one in texts(), two in texts()) {
        let finder = &FINDERS[0];
        let mut vault = Vault::behind(7);
        vault.avoid(&one);
        vault.avoid(&two);
        let hidden = [redacted(&one, finder, &mut vault), redacted(&two, finder, &mut vault)];
        prop_assert_eq!(vault.restore(&hidden[0]), one);
        prop_assert_eq!(vault.restore(&hidden[1]), two);
    }

    /// However a text is cut, a window finds in it what is found in the whole.
    #[test]
    fn pieces_are_found_as_the_whole_is(text in texts(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let finders = &*FINDERS;
        let vault = Vault::default();
        let whole = watched(finders, &vault, &[&text]);
        prop_assert_eq!(watched(finders, &vault, &pieces(&text, &cuts)), whole.clone());
        for (place, finder) in finders.iter().enumerate() {
            let expected: Vec<_> = finder.find(&text).into_iter().map(|finding| finding.range).collect();
            let told: Vec<_> = whole
                .iter()
                .filter(|(_, change)| matches!(change, Change::Found { detector, .. } if *detector == place))
                .map(|(range, _)| range.clone())
                .collect();
            prop_assert_eq!(told, expected);
        }
    }

    /// However the frames of an answer cut it, what was taken out is put back.
    #[test]
    fn placeholders_are_put_back_from_any_pieces(text in texts(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let mut vault = Vault::default();
        let hidden = redacted(&text, &FINDERS[0], &mut vault);
        let changes = watched(&[], &vault, &pieces(&hidden, &cuts));
        let (mut out, mut at) = (String::new(), 0);
        for (range, change) in changes {
            let Change::Restore(value) = change else { panic!("{change:?}") };
            out.push_str(&hidden[at..range.start]);
            out.push_str(&value);
            at = range.end;
        }
        out.push_str(&hidden[at..]);
        prop_assert_eq!(out, text);
    }

    /// Bytes of any kind are read, and no detector stops at them.
    #[test]
    fn nothing_stops_a_detector(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        for finder in &*FINDERS {
            for finding in finder.find(&text) {
                prop_assert!(!finding.range.is_empty() && text.get(finding.range).is_some());
            }
        }
    }
}

#[test]
fn what_cannot_be_part_of_a_finding_is_let_go_at_once() {
    let finder = finder(ALL);
    let watched = [Watched { finder: &finder, replaces: true }];
    let mut window = Window::default();
    let mut upto = |piece: &str| {
        window.push(piece);
        window.settle(&watched, &Vault::default(), false, &mut |_| {}).upto
    };
    assert_eq!(upto("Hello there, "), 13);
    // A word may become an address; a sign that cannot stand in one ends that.
    assert_eq!(upto("ada"), 13);
    assert_eq!(upto("! "), 18);
}

#[test]
fn no_more_is_held_than_the_bound() {
    let finder = finder(r#"{"patterns":{"all":"(?s)begin.*end"}}"#);
    let watched = [Watched { finder: &finder, replaces: false }];
    let mut window = Window::default();
    window.push("begin");
    for _ in 0..100 {
        window.push(&"x".repeat(500));
        let upto = window.settle(&watched, &Vault::default(), false, &mut |_| {}).upto;
        assert!(window.len() - upto <= LONGEST_HELD_BYTES);
    }
}
