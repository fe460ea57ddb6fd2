//! Data of somebody else: read where the operator allows it, whole or not at all, and never anywhere else.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::AsArray as _,
    datatypes::{DataType, Field, Float64Type, Schema, SchemaRef},
};
use flate2::{Compression, write::GzEncoder};
use futures::TryStreamExt as _;
use shipway_core::{Digest, Failure as _, Location};
use shipway_lake::{
    AppendOptions, Effort, Lake, LakeError, LakeOptions, OutsideFile, OutsideOptions, S3Credentials,
    files::{Adaptation, FileFormat, open_adapted},
    timestamp_type,
};

use crate::{
    lake::{collect, flights, flights_schema},
    upkeep::upkeep,
};

struct Yard {
    folder: tempfile::TempDir,
    lake: Lake,
}

impl Yard {
    /// A lake that may read `in`, beside a folder that it may not.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut OutsideOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["in", "secret"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut outside =
            OutsideOptions { folders: vec![folder.path().join("in")], ..OutsideOptions::default() };
        change(&mut outside);
        let lake =
            Lake::open(LakeOptions { outside, ..LakeOptions::new(folder.path().join("lake")) }).unwrap();
        Self { folder, lake }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn writes(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn location(&self, pattern: &str) -> Location {
        Location::parse(self.path(pattern).to_str().unwrap()).unwrap()
    }

    async fn lists(&self, pattern: &str) -> Result<Vec<OutsideFile>, LakeError> {
        self.lake.list_outside(&self.location(pattern)).await
    }

    /// The names of the files below the folder of this yard.
    async fn names(&self, pattern: &str) -> Vec<String> {
        let listed = self.lists(pattern).await.unwrap();
        let root = format!("{}/", self.folder.path().display());
        listed.iter().map(|file| file.name().strip_prefix(&root).unwrap().to_owned()).collect()
    }

    async fn copies(&self, file: &OutsideFile) -> Result<(String, Digest), LakeError> {
        let to = self.path("copy");
        let _ = fs::remove_file(&to);
        let copied = self.lake.copy_outside(file, &to).await?;
        let text = fs::read_to_string(&to).unwrap();
        assert_eq!(text.len() as u64, copied.bytes);
        Ok((text, copied.digest))
    }
}

fn code<T>(outcome: Result<T, LakeError>) -> &'static str {
    outcome.err().map_or("nothing was refused", |error| error.code())
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_pattern_stands_for_files_at_any_depth_and_passes_over_leftovers() {
    let yard = Yard::new();
    for name in ["a.csv", "2013/a.csv", "2013/01/b.csv", "2013/_tmp/c.csv", "2013/.d.csv", "2013/e.csv.crc"] {
        yard.writes(&format!("in/{name}"), "x\n1\n");
    }
    yard.writes("secret/a.csv", "x\n1\n");
    assert_eq!(yard.names("in/**/*.csv").await, ["in/2013/01/b.csv", "in/2013/a.csv", "in/a.csv"]);
    assert_eq!(yard.names("in/*/*.csv").await, ["in/2013/a.csv"]);
    assert_eq!(yard.names("in/a.csv").await, ["in/a.csv"]);
    assert!(yard.names("in/*.parquet").await.is_empty());
}

#[tokio::test]
async fn what_the_operator_does_not_allow_is_refused_with_the_key_to_set() {
    let yard = Yard::new();
    yard.writes("secret/a.csv", "x\n1\n");
    let refused = yard.lists("secret/*.csv").await.unwrap_err();
    assert_eq!(refused.code(), "lake.folder_not_allowed");
    assert!(refused.hint().unwrap().contains("sources.allowed_folders"));
    assert_eq!(
        code(yard.lists("*/a.csv").await),
        "lake.folder_not_allowed",
        "a wildcard cannot choose the folder"
    );
    assert_eq!(code(yard.lists("insecure/*.csv").await), "lake.folder_not_allowed");
    assert_eq!(code(yard.lists("in/none/*.csv").await), "lake.outside_not_there");
    let bucket = Location::parse("s3://flights/*.csv").unwrap();
    let refused = yard.lake.list_outside(&bucket).await.unwrap_err();
    assert_eq!(refused.code(), "lake.bucket_not_allowed");
    assert!(refused.hint().unwrap().contains("sources.allowed_buckets"));
}

#[tokio::test]
async fn a_bucket_without_credentials_is_refused_before_anybody_is_asked() {
    let yard = Yard::with(|outside| outside.buckets = vec!["flights".to_owned()]);
    let bucket = Location::parse("s3://flights/*.csv").unwrap();
    assert_eq!(code(yard.lake.list_outside(&bucket).await), "lake.bucket_no_credentials");
    assert_eq!(code(yard.lake.open_outside(&bucket).await), "lake.bucket_no_credentials");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_reason_to_try_again() {
    let yard = Yard::with(|outside| {
        outside.buckets = vec!["flights".to_owned()];
        outside.s3.endpoint = Some("http://127.0.0.1:9".to_owned());
        outside.s3.path_style = true;
        outside.s3.credentials = S3Credentials::Anonymous;
    });
    let failed = yard.lake.list_outside(&Location::parse("s3://flights/*.csv").unwrap()).await.unwrap_err();
    assert_eq!((failed.code(), failed.kind()), ("lake.outside_failed", shipway_core::Kind::Unavailable));
}

#[tokio::test]
async fn no_link_leads_out_of_an_allowed_folder() {
    let yard = Yard::new();
    yard.writes("secret/deep/a.csv", "x\nhush\n");
    symlink(yard.path("secret/deep/a.csv"), yard.path("in/linked.csv")).unwrap();
    symlink(yard.path("secret"), yard.path("in/folder")).unwrap();
    let listed = yard.lists("in/**/*.csv").await.unwrap();
    assert_eq!(listed.len(), 2, "both links are named, and nothing behind them is");
    for file in &listed {
        assert_eq!(code(yard.copies(file).await), "lake.outside_link", "{}", file.name());
    }
    assert_eq!(code(yard.lists("in/folder/deep/*.csv").await), "lake.outside_link");
    assert_eq!(code(yard.lake.open_outside(&yard.location("in/folder/deep")).await), "lake.outside_link");
}

#[tokio::test]
async fn a_name_that_became_a_link_after_it_was_listed_is_not_followed() {
    let yard = Yard::new();
    yard.writes("secret/a.csv", "x\nhush\n");
    let path = yard.writes("in/day/a.csv", "x\n1\n");
    let listed = yard.lists("in/*/a.csv").await.unwrap();
    fs::remove_file(&path).unwrap();
    symlink(yard.path("secret/a.csv"), &path).unwrap();
    assert_eq!(code(yard.copies(&listed[0]).await), "lake.outside_link");
    fs::remove_dir_all(yard.path("in/day")).unwrap();
    symlink(yard.path("secret"), yard.path("in/day")).unwrap();
    assert_eq!(code(yard.copies(&listed[0]).await), "lake.outside_link");
    assert!(!yard.path("copy").exists(), "nothing stays of what was refused");
}

#[tokio::test]
async fn an_allowed_folder_may_itself_be_a_link() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    fs::write(folder.path().join("disk/a.csv"), "x\n1\n").unwrap();
    symlink(folder.path().join("disk"), folder.path().join("in")).unwrap();
    let outside = OutsideOptions { folders: vec![folder.path().join("in")], ..OutsideOptions::default() };
    let lake = Lake::open(LakeOptions { outside, ..LakeOptions::new(folder.path().join("lake")) }).unwrap();
    let location = Location::parse(folder.path().join("in/*.csv").to_str().unwrap()).unwrap();
    let listed = lake.list_outside(&location).await.unwrap();
    lake.copy_outside(&listed[0], &folder.path().join("copy")).await.unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("copy")).unwrap(), "x\n1\n");
}

#[tokio::test]
async fn a_copy_is_unpacked_and_has_the_digest_of_what_lies_there() {
    let yard = Yard::new();
    let text = "x\n".to_owned() + &"1\n".repeat(3_000_000);
    yard.writes("in/plain.csv", &text);
    // Two members one after the other are one file, as parallel packers write it.
    let bytes = [packed(&text.as_bytes()[..5]), packed(&text.as_bytes()[5..])].concat();
    yard.writes("in/packed.csv.gz", &bytes);
    let listed = yard.lists("in/*").await.unwrap();
    let (unpacked, of_packed) = yard.copies(&listed[0]).await.unwrap();
    assert_eq!((listed[0].unpacked_name().ends_with("packed.csv"), unpacked == text), (true, true));
    assert_eq!(of_packed, Digest::of(&bytes));
    let (plain, of_plain) = yard.copies(&listed[1]).await.unwrap();
    assert_eq!((plain == text, of_plain), (true, Digest::of(&text)));
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_packed_wrong_is_refused() {
    let yard = Yard::new();
    let whole = packed("x\n1\n".repeat(1_000).as_bytes());
    yard.writes("in/a-cut.csv.gz", &whole[..whole.len() - 6]);
    yard.writes("in/b-plain.csv.gz", "x\n1\n");
    for file in yard.lists("in/*").await.unwrap() {
        assert_eq!(code(yard.copies(&file).await), "lake.outside_file_packed", "{}", file.name());
    }
}

#[tokio::test]
async fn files_and_bytes_are_bounded_before_and_after_unpacking() {
    let yard = Yard::with(|outside| {
        outside.most_files = 3;
        outside.most_bytes = 10_000;
    });
    for number in 0..3 {
        yard.writes(&format!("in/{number}.csv"), "x\n");
    }
    assert_eq!(yard.lists("in/*.csv").await.unwrap().len(), 3);
    yard.writes("in/one-more.csv", "x\n");
    assert_eq!(code(yard.lists("in/*.csv").await), "lake.outside_too_many_files");
    yard.writes("in/large/plain.csv", "x".repeat(10_001));
    yard.writes("in/large/bomb.csv.gz", packed("x".repeat(1 << 20).as_bytes()));
    for file in yard.lists("in/large/*").await.unwrap() {
        assert_eq!(code(yard.copies(&file).await), "lake.outside_file_too_large", "{}", file.name());
    }
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_listed_is_left_for_the_next_time() {
    let yard = Yard::new();
    yard.writes("in/a.csv", "x\n1\n");
    let listed = yard.lists("in/*").await.unwrap();
    yard.writes("in/a.csv", "x\n1\n2\n");
    assert_eq!(code(yard.copies(&listed[0]).await), "lake.outside_file_changing");
    fs::remove_file(yard.path("in/a.csv")).unwrap();
    assert_eq!(code(yard.copies(&listed[0]).await), "lake.outside_not_there");
}

fn declared() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("at", timestamp_type(), true),
        Field::new("gate", DataType::Utf8, true),
        Field::new("delay", DataType::Float64, true),
    ]))
}

async fn adapted(
    path: &Path,
    adaptation: &Adaptation,
) -> Result<Vec<(bool, String, Option<f64>)>, LakeError> {
    let format = FileFormat::of_path(path).unwrap();
    let batches = collect(open_adapted(path, format, declared(), adaptation).await?).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        assert_eq!(batch.schema(), declared());
        let (gates, delays) =
            (batch.column(1).as_string::<i32>(), batch.column(2).as_primitive::<Float64Type>());
        for row in 0..batch.num_rows() {
            let delay = delays.iter().nth(row).flatten();
            rows.push((
                batch.column(0).is_valid(row),
                gates.iter().nth(row).flatten().unwrap_or("-").to_owned(),
                delay,
            ));
        }
    }
    Ok(rows)
}

#[tokio::test]
async fn columns_are_found_under_their_names_there_and_others_are_left_alone() {
    let yard = Yard::new();
    let adaptation = Adaptation {
        names: [("at".to_owned(), "Departed At".to_owned())].into(),
        optional: ["delay".to_owned()].into(),
        null_tokens: vec!["NA".to_owned()],
        ..Adaptation::default()
    };
    let whole =
        yard.writes("in/a.csv", "noise,delay,Departed At,gate\n9,1.5,2013-01-01,B2\n9,NA,2013-01-02,NA\n");
    let expected = vec![(true, "B2".to_owned(), Some(1.5)), (true, "-".to_owned(), None)];
    assert_eq!(adapted(&whole, &adaptation).await.unwrap(), expected);
    let older = yard.writes("in/b.csv", "gate,Departed At\nB2,2013-01-01\n");
    assert_eq!(adapted(&older, &adaptation).await.unwrap(), [(true, "B2".to_owned(), None)]);
    let lines =
        yard.writes("in/c.jsonl", "{\"Departed At\": \"2013-01-01\", \"gate\": \"C1\", \"noise\": [1]}\n");
    assert_eq!(adapted(&lines, &adaptation).await.unwrap(), [(true, "C1".to_owned(), None)]);
    let misspelt = yard.writes("in/d.csv", "Departed at,gate,delay\n2013-01-01,B2,1\n");
    let refused = adapted(&misspelt, &adaptation).await.unwrap_err();
    assert_eq!(refused.to_string(), "column Departed At is missing");
    assert_eq!(refused.hint().unwrap(), "did you mean Departed at?");
}

#[tokio::test]
async fn a_bad_row_is_named_by_its_line_and_its_column_there() {
    let yard = Yard::new();
    let adaptation =
        Adaptation { names: [("delay".to_owned(), "dep_delay".to_owned())].into(), ..Adaptation::default() };
    let path = yard.writes("in/a.csv", "at,gate,dep_delay\n2013-01-01,B2,1\n2013-01-02,B2,late\n");
    let refused = adapted(&path, &adaptation).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "1 row is bad, so nothing was loaded; line 3: column dep_delay: expected float, got late"
    );
}

/// A Delta table in the allowed folder, written by a lake of its own.
async fn table(yard: &Yard) -> Lake {
    let writer = Lake::open(LakeOptions::new(yard.path("in/tables"))).unwrap();
    writer.ensure_table("flights", flights_schema()).await.unwrap();
    writer
}

async fn appends(writer: &Lake, rows: std::ops::Range<i64>) {
    let batches = vec![flights(rows)];
    let schema = batches[0].schema();
    let stream = futures::stream::iter(batches.into_iter().map(Ok));
    let stream = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, stream);
    writer.append("flights", Box::pin(stream), AppendOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_table_gives_its_rows_at_a_version_and_then_what_each_version_adds() {
    let yard = Yard::new();
    let writer = table(&yard).await;
    appends(&writer, 0..10).await;
    appends(&writer, 10..15).await;
    let location = yard.location("in/tables/flights");
    let mut opened = yard.lake.open_outside(&location).await.unwrap();
    assert_eq!(
        (opened.version(), opened.column_names().unwrap()),
        (2, vec!["id".into(), "origin".into(), "at".into()])
    );
    assert_eq!(opened.parts_at(2).await.unwrap().len(), 2);
    assert_eq!(opened.parts_at(1).await.unwrap().len(), 1, "an earlier version can still be read");
    let added = opened.parts_added_by(2).await.unwrap();
    let to = yard.path("copy");
    yard.lake.copy_outside(&added[0].file, &to).await.unwrap();
    let rows =
        open_adapted(&to, FileFormat::Parquet, flights_schema(), &Adaptation::default()).await.unwrap();
    let rows: usize = rows
        .map_ok(|batch| batch.num_rows())
        .try_fold(0, |sum, more| async move { Ok(sum + more) })
        .await
        .unwrap();
    assert_eq!(rows, 5);
    writer.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();
    let later = yard.lake.open_outside(&location).await.unwrap();
    assert!(later.version() > 2);
    assert!(
        later.parts_added_by(later.version()).await.unwrap().is_empty(),
        "rewritten rows are not new rows"
    );
    assert_eq!(later.id(), opened.id());
}

/// Writes the next entry into the log of the table, as another writer would.
fn commits(yard: &Yard, version: u64, lines: &[&str]) {
    yard.writes(&format!("in/tables/flights/_delta_log/{version:020}.json"), lines.join("\n"));
}

#[tokio::test]
async fn what_cannot_be_read_exactly_is_refused() {
    let yard = Yard::new();
    let writer = table(&yard).await;
    appends(&writer, 0..10).await;
    let location = yard.location("in/tables/flights");
    let add = |extra: &str, path: &str| {
        format!(
            r#"{{"add":{{"path":"{path}","partitionValues":{{}},"size":1,"modificationTime":1,"dataChange":true{extra}}}}}"#
        )
    };
    let vector = r#","deletionVector":{"storageType":"u","pathOrInlineDv":"x","offset":1,"sizeInBytes":1,"cardinality":1}"#;
    let removal = r#"{"remove":{"path":"x.parquet","dataChange":true,"deletionTimestamp":1}}"#;
    let cases: [(&[&str], &str); 7] = [
        (&[r#"{"commitInfo":{"operation":"DELETE"}}"#, removal], "lake.outside_rows_changed"),
        (&[&add(vector, "x.parquet")], "lake.outside_table_feature"),
        (&[&add("", "../../../secret/x.parquet")], "lake.outside_table_feature"),
        (&[&add("", "%2E%2E/x.parquet")], "lake.outside_table_feature"),
        (&[&add("", "s3://other/x.parquet")], "lake.outside_table_feature"),
        (
            &[r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["variantType"]}}"#],
            "lake.outside_table_feature",
        ),
        (
            &[r#"{"metaData":{"id":"x","configuration":{"delta.columnMapping.mode":"name"}}}"#],
            "lake.outside_table_feature",
        ),
    ];
    let opened = yard.lake.open_outside(&location).await.unwrap();
    for (lines, expected) in cases {
        commits(&yard, 2, lines);
        assert_eq!(code(opened.parts_added_by(2).await), expected, "{lines:?}");
    }
    assert_eq!(code(opened.parts_added_by(3).await), "lake.outside_version_gone");
    fs::create_dir(yard.path("in/no-table")).unwrap();
    assert_eq!(code(yard.lake.open_outside(&yard.location("in/no-table")).await), "lake.outside_not_a_table");
}

#[tokio::test]
async fn the_log_of_a_table_leads_nowhere_else() {
    let yard = Yard::new();
    let writer = table(&yard).await;
    appends(&writer, 0..3).await;
    let location = yard.location("in/tables/flights");
    yard.writes("secret/entry.json", "{}");
    let entry = yard.path("in/tables/flights/_delta_log/00000000000000000002.json");
    symlink(yard.path("secret/entry.json"), &entry).unwrap();
    assert_eq!(code(yard.lake.open_outside(&location).await), "lake.outside_link");
    fs::remove_file(&entry).unwrap();
    let opened = yard.lake.open_outside(&location).await.unwrap();
    let part = opened.parts_added_by(1).await.unwrap().remove(0);
    let data = PathBuf::from(part.file.name());
    fs::rename(&data, yard.path("secret/data.parquet")).unwrap();
    symlink(yard.path("secret/data.parquet"), &data).unwrap();
    assert_eq!(code(yard.copies(&part.file).await), "lake.outside_link");
}
