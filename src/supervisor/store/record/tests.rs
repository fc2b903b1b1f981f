//! Records of engines: written, read again, and damaged.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn full() -> Record {
    Record {
        process: Some(Recorded { pid: 4711, started: 99, boot: "b-1".into() }),
        port: 9001,
        spec: "00ff".into(),
        gpus: vec!["0".into(), "GPU-1".into()],
        log: "/x/m_0.log".into(),
        log_from: 12,
        served: true,
        start_seconds: Some(1.5),
        lora_added: [("sql".to_owned(), "/a".to_owned())].into(),
        lora_removed: vec!["old".into()],
        asleep: Some(2),
        ..Record::about_to_start("org/m.v1", 0, &Marker::fresh("org/m.v1/0"))
    }
}

#[test]
fn a_record_comes_back_as_it_was_and_is_for_us_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = Records::of(folder.path()).expect("made");
    let record = full();
    records.write(&Record { process: None, ..record.clone() }).expect("written");
    records.write(&record).expect("written over");
    fs::write(folder.path().join("engines/x_0.json.new"), "{").expect("a torn one");
    assert_eq!(records.load().expect("read"), std::slice::from_ref(&record));
    let path = folder.path().join("engines").join(format!("{}.json", record.stem()));
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path().join("engines")).expect("there").count(), 1, "no torn ones are left");
    let other = Record { nonce: "0".repeat(32), ..record.clone() };
    records.remove(&other).expect("nothing to do");
    assert!(path.exists(), "the record of another start stays");
    records.remove(&record).expect("removed");
    records.remove(&record).expect("it is gone");
    assert_eq!(records.load().expect("read"), []);
}

#[test]
fn a_record_of_another_version_is_set_aside_but_its_engine_can_be_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = Records::of(folder.path()).expect("made");
    let record = Record { version: VERSION + 1, ..full() };
    records.write(&record).expect("written");
    let found = records.load().expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].nonce.as_str(), &found[0].process), (record.nonce.as_str(), &None));
    assert_eq!(found[0].engine, record.stem());
    assert!(folder.path().join("engines").join(format!("{}.json.bad", record.stem())).exists());
    assert_eq!(records.load().expect("read"), [], "once");
}

proptest! {
    #[test]
    fn no_garbage_is_a_panic_and_no_nonce_in_it_is_lost(
        front in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..900,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let records = Records::of(folder.path()).expect("made");
        let path = folder.path().join("engines/m_0.json");
        fs::write(&path, &front).expect("written");
        records.load().expect("garbage is no error");
        prop_assert!(!path.exists());

        let whole = serde_json::to_vec(&full()).expect("JSON");
        let torn = &whole[..cut.min(whole.len() - 1)];
        fs::write(&path, torn).expect("written");
        let nonce = serde_json::from_slice::<Record>(&whole).expect("JSON").nonce;
        let holds_nonce = String::from_utf8_lossy(torn).contains(&format!("{nonce}\""));
        let found = records.load().expect("a torn one is no error");
        prop_assert_eq!(found.iter().any(|record| record.nonce == nonce), holds_nonce || torn.ends_with(nonce.as_bytes()));
    }
}

#[tokio::test]
async fn a_record_that_was_removed_is_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = Records::of(folder.path()).expect("made");
    let mut keeper = RecordKeeper::new(records.clone(), full());
    assert!(keeper.renew().await, "there was none");
    fs::remove_dir_all(folder.path()).expect("gone");
    assert!(keeper.renew().await);
    assert_eq!(records.load().expect("read"), [keeper.record().clone()]);
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_tried_again_at_the_next_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = Records::of(folder.path()).expect("made");
    let mut keeper = RecordKeeper::new(records.clone(), full());
    assert!(keeper.save().await);
    fs::remove_dir_all(folder.path().join("engines")).expect("gone");
    // A folder that is missing is made anew; this one cannot be.
    fs::write(folder.path().join("engines"), "in the way").expect("written");
    assert!(keeper.update(|_| ()).await, "nothing to write");
    assert!(!keeper.update(|record| record.asleep = None).await);
    assert!(!keeper.update(|_| ()).await, "tried again");
    fs::remove_file(folder.path().join("engines")).expect("out of the way");
    assert!(keeper.update(|_| ()).await);
    assert_eq!(records.load().expect("read"), [keeper.record().clone()]);
    assert!(keeper.remove().await);
    assert_eq!(records.load().expect("read"), []);
}
