//! `serve --ready-file`: tells other programs which addresses are served, as soon as they are.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::ids::Name;
use crate::net::{ListenerId, Listeners};

/// What the file says, as JSON.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    pid: u32,
    listen: Option<SocketAddr>,
    admin: SocketAddr,
    /// The addresses of aliases that have one of their own.
    aliases: BTreeMap<&'a str, SocketAddr>,
}

/// The file, which is written again when the addresses change.
#[derive(Debug)]
pub(super) struct ReadyFile {
    file: PathBuf,
    admin: SocketAddr,
}

impl ReadyFile {
    pub(super) fn new(file: PathBuf, admin: SocketAddr) -> Self {
        Self { file, admin }
    }

    /// Writes the file whole: who waits for it never reads a part of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, listeners: &Listeners, entries: &HashMap<ListenerId, Name>) -> io::Result<()> {
        let mut ready = Ready { pid: std::process::id(), listen: None, admin: self.admin, aliases: BTreeMap::new() };
        for (id, _, bound) in listeners.all() {
            match entries.get(&id) {
                Some(alias) => drop(ready.aliases.insert(alias, bound)),
                None => ready.listen = Some(bound),
            }
        }
        let mut new = self.file.as_os_str().to_owned();
        new.push(".new");
        std::fs::write(&new, serde_json::to_vec(&ready)?)?;
        std::fs::rename(&new, &self.file)
    }
}
