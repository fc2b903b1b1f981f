//! What a gateway writes down about each engine it starts, so that the next one finds it again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::EngineId;
use crate::private_file;
use crate::supervisor::folder::{self, FolderError};
use crate::supervisor::process::marker::Marker;
use crate::supervisor::process::procfs::Identity;

/// The shape of records. A higher one is not understood; its engine is found by its marker and ended.
const VERSION: u32 = 1;

/// More than any record takes; what is bigger is garbage.
const MOST_BYTES: u64 = 1024 * 1024;

/// Hexadecimal digits of a nonce.
const NONCE_DIGITS: usize = 32;

/// One start of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The engine's id.
    pub(crate) engine: String,
    /// The model's name.
    pub(crate) model: String,
    /// Which replica of the model, from 0.
    pub(crate) replica: usize,
    /// The leader; `None` before it was spawned. Then what there is carries the marker.
    pub(crate) process: Option<Recorded>,
    /// Of the marker: 32 hexadecimal digits.
    pub(crate) nonce: String,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// Of everything that makes it this engine; another one means that it must be started anew. Hexadecimal.
    pub(crate) spec: String,
    /// The GPUs it was given.
    pub(crate) gpus: Vec<String>,
    /// As the configuration lists them, where it does: the same GPUs may be given under other names.
    #[serde(default)]
    pub(crate) listed: Vec<String>,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Where in the log this start begins.
    pub(crate) log_from: u64,
    /// When it was started, RFC 3339.
    pub(crate) started_at: String,
    /// Whether it was ready once.
    pub(crate) served: bool,
    /// Seconds from its start to ready, where that was seen.
    #[serde(default)]
    pub(crate) start_seconds: Option<f64>,
    /// Adapters that were added at run time, by name, with their paths.
    #[serde(default)]
    pub(crate) lora_added: BTreeMap<String, String>,
    /// Adapters of the configuration that were removed at run time.
    #[serde(default)]
    pub(crate) lora_removed: Vec<String>,
    /// At which level it sleeps.
    #[serde(default)]
    pub(crate) asleep: Option<u8>,
}

/// A process for good: its number means it only with its start and this run of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub(crate) started: u64,
    /// Which run of the machine (`/proc/sys/kernel/random/boot_id`).
    pub(crate) boot: String,
}

impl Recorded {
    /// The process `who` of this run of the machine.
    pub(crate) fn now(who: Identity) -> Self {
        Self { pid: who.pid, started: who.started, boot: boot_id() }
    }
}

impl Record {
    /// A start of `engine` that is about to happen.
    pub(crate) fn about_to_start(model: &str, replica: usize, marker: &Marker) -> Self {
        Self {
            version: VERSION,
            engine: EngineId::new(model, replica).as_str().to_owned(),
            model: model.to_owned(),
            replica,
            process: None,
            nonce: marker.nonce().to_owned(),
            port: 0,
            spec: String::new(),
            gpus: vec![],
            listed: vec![],
            log: PathBuf::new(),
            log_from: 0,
            started_at: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            served: false,
            start_seconds: None,
            lora_added: BTreeMap::new(),
            lora_removed: vec![],
            asleep: None,
        }
    }

    /// What is known of a start of which only the mark of its processes is: it can be ended.
    pub(crate) fn trail(engine: &str, marker: &Marker) -> Self {
        let (model, replica) = engine.rsplit_once('/').unwrap_or((engine, ""));
        let record = Self::about_to_start(model, replica.parse().unwrap_or_default(), marker);
        Self { engine: engine.to_owned(), ..record }
    }

    /// Whether nothing but the mark of its processes is known.
    pub(crate) fn is_trail(&self) -> bool {
        self.process.is_none() && self.spec.is_empty()
    }

    /// The record that the first process `leader` of a start carries, as JSON; `None`: it is not understood, or of another
    /// start than `marker` is.
    pub(crate) fn restored(json: &[u8], marker: &Marker, leader: Identity) -> Option<Self> {
        let record: Self = serde_json::from_slice(json).ok()?;
        let is_sound = record.version == VERSION
            && record.nonce == marker.nonce()
            && record.engine == marker.engine()
            && EngineId::new(&record.model, record.replica).as_str() == record.engine;
        is_sound.then(|| Self { process: Some(Recorded::now(leader)), ..record })
    }

    /// What its processes are marked with.
    pub(crate) fn marker(&self) -> Marker {
        Marker::of(&self.engine, &self.nonce)
    }

    /// The name of its file.
    fn stem(&self) -> String {
        EngineId::new(&self.model, self.replica).file_stem()
    }
}

/// Which run of the machine this is; empty when the system does not say.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The records of a state directory.
#[derive(Clone, Debug)]
pub(crate) struct Records(Arc<Path>);

impl Records {
    /// Those under `state_dir`, whose folder is made where it is missing.
    ///
    /// # Errors
    /// In words, with the remedy.
    pub(crate) fn of(state_dir: &Path) -> Result<Self, FolderError> {
        let folder = state_dir.join("engines");
        folder::make(&folder)?;
        Ok(Self(folder.into()))
    }

    /// Whether there are any under `state_dir`, or this cannot be told. Blocks.
    pub(crate) fn are_in(state_dir: &Path) -> bool {
        let is_record = |path: PathBuf| path.extension().is_some_and(|extension| extension == "json");
        match fs::read_dir(state_dir.join("engines")) {
            Ok(entries) => entries.flatten().any(|entry| is_record(entry.path())),
            // Where this user may not look, or where there can be no folder, no gateway of this user kept any.
            Err(error) => {
                !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
            }
        }
    }

    /// All that were left. What is not understood is set aside as `….bad`, and a record without process is made of each
    /// nonce that is found in it, so that its engine can still be found and ended.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn load(&self) -> Result<Vec<Record>, FolderError> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(FolderError::on(&self.0))? {
            let path = entry.map_err(FolderError::on(&self.0))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => records.extend(read(&path)),
                // Of a gateway that was killed while it wrote; the record is as it was before.
                Some("new") => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
        records.sort_by(|a: &Record, b| a.engine.cmp(&b.engine));
        Ok(records)
    }

    /// Those that are understood, as they are now; touches nothing.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn peek(&self) -> io::Result<Vec<Record>> {
        let records = fs::read_dir(&self.0)?.flatten().filter_map(|entry| {
            let path = entry.path();
            let is_record = path.extension().is_some_and(|extension| extension == "json");
            is_record.then(|| serde_json::from_slice(&bytes_of(&path).ok()?).ok()).flatten()
        });
        Ok(records.collect())
    }

    /// Writes `record` in place of the one before, so that at any moment one of both is there in whole. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        // It was there at the start of the gateway; a clean-up may have removed it since.
        folder::make(&self.0).map_err(|error| error.source)?;
        private_file::replace(&self.path(record), record)
    }

    /// Forgets the start of `record`: nothing of it is left. A record of another start stays. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove(&self, record: &Record) -> io::Result<()> {
        let path = self.path(record);
        if bytes_of(&path).is_ok_and(|bytes| !nonces(&bytes).contains(&record.nonce)) {
            return Ok(());
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether there is a record of that engine.
    fn has(&self, record: &Record) -> bool {
        self.path(record).exists()
    }

    fn path(&self, record: &Record) -> PathBuf {
        // Appended, not set: the name of a model may hold dots.
        self.0.join(format!("{}.json", record.stem()))
    }
}

/// The record in `path`, or what can be made of it.
fn read(path: &Path) -> Vec<Record> {
    let bytes = match bytes_of(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a record of an engine cannot be read; if that engine runs, end it by hand");
            return vec![];
        }
    };
    let why = match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) if record.version != VERSION => format!("its version is {}, not {VERSION}", record.version),
        Ok(record) if !is_nonce(record.nonce.as_bytes()) => "its nonce is none".to_owned(),
        Ok(record) if format!("{}.json", record.stem()) != path.file_name().unwrap_or_default().to_string_lossy() => {
            "it is of another engine than its name says".to_owned()
        }
        Ok(record) => return vec![record],
        Err(error) => error.to_string(),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let trails = nonces(&bytes).into_iter().map(|nonce| Record::trail(&stem, &Marker::of(&stem, &nonce)));
    let aside = path.with_extension("json.bad");
    let set_aside = fs::rename(path, &aside);
    tracing::warn!(path = %aside.display(), %why, ?set_aside, "a record of an engine is not understood and was set aside; if its processes run, they are looked for by what they carry");
    trails.collect()
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, MOST_BYTES), &mut bytes)?;
    Ok(bytes)
}

fn is_nonce(text: &[u8]) -> bool {
    text.len() == NONCE_DIGITS && text.iter().all(u8::is_ascii_hexdigit)
}

/// Everything in `bytes` that could be a nonce. One that is none marks no process.
fn nonces(bytes: &[u8]) -> Vec<String> {
    let words = bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|word| is_nonce(word));
    let mut nonces: Vec<_> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    nonces.sort();
    nonces.dedup();
    nonces
}

/// Keeps the record of one engine. Failing to write it is told once, and never ends an engine.
#[derive(Debug)]
pub(crate) struct RecordKeeper {
    records: Records,
    record: Record,
    failed: bool,
}

impl RecordKeeper {
    /// Of an engine that is about to start, or was adopted. Nothing is written yet.
    pub(crate) fn new(records: Records, record: Record) -> Self {
        Self { records, record, failed: false }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.records.path(&self.record)
    }

    /// What is known.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Changes the record and writes it, when it changed or could not be written the last time. Off the async workers.
    /// Returns whether it is on the disk.
    pub(crate) async fn update(&mut self, change: impl FnOnce(&mut Record)) -> bool {
        let before = self.record.clone();
        change(&mut self.record);
        if before == self.record && !self.failed {
            return true;
        }
        self.save().await
    }

    /// Writes the record. Returns whether it is on the disk.
    pub(crate) async fn save(&mut self) -> bool {
        let (records, record) = (self.records.clone(), self.record.clone());
        self.perform(move || records.write(&record)).await
    }

    /// Writes the record if it is gone, or could not be written before. Returns whether it is on the disk.
    pub(crate) async fn renew(&mut self) -> bool {
        let (records, record, is_owed) = (self.records.clone(), self.record.clone(), self.failed);
        let is_there = tokio::task::spawn_blocking(move || !is_owed && records.has(&record)).await;
        if is_there.unwrap_or(true) && !is_owed {
            return true;
        }
        if !is_owed {
            tracing::warn!(
                engine = %self.record.engine, folder = %self.records.0.display(),
                "the engine's record was removed by somebody and is written again"
            );
        }
        self.save().await
    }

    /// Removes the record: nothing of the engine is left. Returns whether it is gone.
    pub(crate) async fn remove(&mut self) -> bool {
        let (records, record, failed) = (self.records.clone(), self.record.clone(), self.failed);
        // That a record is gone says nothing of whether the next one can be written.
        self.failed = false;
        let removed = self.perform(move || records.remove(&record)).await;
        self.failed |= failed;
        removed
    }

    async fn perform(&mut self, action: impl FnOnce() -> io::Result<()> + Send + 'static) -> bool {
        let done = tokio::task::spawn_blocking(action).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let failed = std::mem::replace(&mut self.failed, done.is_err());
        match done {
            Ok(()) if failed => tracing::info!(engine = %self.record.engine, "the engine's record is written again"),
            Err(error) if !failed => tracing::warn!(
                engine = %self.record.engine, folder = %self.records.0.display(), %error,
                "the engine's record cannot be written: it runs on, but if the gateway is killed the next one may not know \
                 it; make room or correct the permissions"
            ),
            _ => {}
        }
        !self.failed
    }
}

#[cfg(test)]
mod tests;
