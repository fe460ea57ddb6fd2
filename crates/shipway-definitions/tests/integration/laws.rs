//! Laws of any text and any order.

use proptest::prelude::*;
use shipway_definitions::{DefinitionFile, DefinitionSet};

use crate::{BASE, SERVICE, VIEW, valid};

/// The fields of a definition, each with the lines that belong to it.
fn fields(document: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in document.trim().lines() {
        match fields.last_mut() {
            Some(field) if line.starts_with(' ') => field.push_str(&format!("{line}\n")),
            _ => fields.push(format!("{line}\n")),
        }
    }
    fields
}

fn documents() -> Vec<String> {
    format!("{BASE}---{VIEW}---{SERVICE}").split("---").map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = DefinitionSet::parse(&[DefinitionFile::new("a.yaml", text)]);
    }

    #[test]
    fn a_damaged_definition_is_read_or_refused(cut in 0_usize..400, length in 0_usize..20, put in "[-:{}\\[\\]&*!|>'\"#, \na0é]{0,4}") {
        let mut text = format!("{BASE}---{VIEW}---{SERVICE}");
        let from = cut.min(text.len());
        let to = (cut + length).min(text.len());
        text.replace_range(from..to, &put);
        let _ = DefinitionSet::parse(&[DefinitionFile::new("a.yaml", text)]);
    }

    #[test]
    fn the_order_of_files_documents_and_fields_means_nothing(
        seed in proptest::collection::vec(any::<u32>(), 64),
        split in any::<bool>(),
    ) {
        let mut seed = seed.into_iter().cycle();
        let mut shuffled = |mut items: Vec<String>| {
            items.sort_by_cached_key(|_| seed.next());
            items
        };
        let documents: Vec<String> = documents().iter().map(|document| shuffled(fields(document)).concat()).collect();
        let documents = shuffled(documents);
        let files: Vec<String> = if split { documents } else { vec![documents.join("---\n")] };
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        prop_assert_eq!(valid(&files), valid(&[BASE, VIEW, SERVICE]));
    }

    #[test]
    fn two_windows_never_share_a_hash(left in 1_u32..10_000, right in 1_u32..10_000) {
        let hash = |seconds: u32| {
            let view = VIEW.replace("[30m, 1h]", &format!("[{seconds}s]"));
            valid(&[BASE, &view]).view("origin_traffic").unwrap().hash
        };
        prop_assert_eq!(hash(left) == hash(right), left == right);
    }
}
