//! What survives a killed process and a full disk. The log under trial runs in a child process: this test binary,
//! started again for one of the ignored tests below, in the folder that it is to use.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use shipway_core::{Failure as _, Kind};
use shipway_log::LogError;
use tokio::task::JoinSet;

use crate::{all, open};

const SEGMENT_BYTES: u64 = 20_000;

fn start(shell: &str, test: &str, folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact {test} --ignored --nocapture")])
        .arg(env::current_exe().unwrap())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// A record that says who it is: its content follows from its first bytes.
fn payload(caller: u64, number: u64) -> Bytes {
    let length = (caller * 31 + number * 17) % 400;
    let mut bytes = [caller.to_be_bytes(), number.to_be_bytes()].concat();
    bytes.resize(16 + length as usize, number as u8);
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of a_killed_process_loses_no_acknowledged_record"]
async fn appends_until_killed() {
    let (_log, topic) = open(&env::current_dir().unwrap(), SEGMENT_BYTES).unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let topic = topic.clone();
        callers.spawn(async move {
            for number in 0.. {
                let range =
                    topic.append(vec![payload(caller, number), payload(caller, number)]).await.unwrap();
                println!("acknowledged {} {caller} {number}", range.start);
            }
        });
    }
    callers.join_all().await;
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let mut acknowledged: Vec<(u64, Bytes)> = Vec::new();
    for round in 0..20 {
        let wanted = acknowledged.len() + random.random_range(1..150);
        let mut child = start("", "crash::appends_until_killed", folder.path());
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(numbers) = line.strip_prefix("acknowledged ") {
                let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
                acknowledged.push((numbers[0], payload(numbers[1], numbers[2])));
            }
            if acknowledged.len() >= wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= wanted, "the child ended by itself");

        let (log, topic) = open(folder.path(), SEGMENT_BYTES).unwrap();

        let found = all(&topic).await.unwrap();
        assert_eq!(found.len() as u64, topic.end());
        for (offset, payload) in &acknowledged {
            for at in [*offset as usize, *offset as usize + 1] {
                assert_eq!(found.get(at), Some(payload), "round {round}: offset {at}");
            }
        }
        log.close().await;
    }
}

#[tokio::test]
#[ignore = "the child of a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest"]
async fn appends_onto_a_full_disk() {
    let (log, topic) = open(&env::current_dir().unwrap(), 1 << 30).unwrap();
    let failure = loop {
        if let Err(failure) = topic.append(vec![Bytes::from(vec![b'x'; 1_000])]).await {
            break failure;
        }
    };
    assert!(matches!(failure, LogError::WriteFailed { .. }), "{failure:?}");
    assert_eq!(failure.kind(), Kind::Unavailable);
    let large = topic.end();
    assert!(large > 50, "{large} records fit");
    // The rest of the room still takes what fits.
    let failure = loop {
        if let Err(failure) = topic.append(vec!["small".into()]).await {
            break failure;
        }
    };
    assert!(matches!(failure, LogError::WriteFailed { .. }), "{failure:?}");
    println!("\nheld {large} {}", topic.end());
    log.close().await;
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start("trap '' XFSZ; ulimit -f 200;", "crash::appends_onto_a_full_disk", folder.path());
    let output: Vec<_> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{output:?}");
    let held = output.iter().find_map(|line| line.strip_prefix("held ")).unwrap();
    let (large, end) = held.split_once(' ').unwrap();
    let (large, end): (usize, usize) = (large.parse().unwrap(), end.parse().unwrap());

    let (log, topic) = open(folder.path(), 1 << 30).unwrap();

    let found = all(&topic).await.unwrap();
    assert_eq!(found.len(), end);
    assert!(found[..large].iter().all(|record| record.len() == 1_000));
    assert!(found[large..].iter().all(|record| record == "small"));
    topic.append(vec![Bytes::from(vec![b'x'; 1_000])]).await.unwrap();
    log.close().await;
}
