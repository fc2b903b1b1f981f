//! The end of a log file, and what is written to it from then on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// What is read of a file at once: enough for thousands of lines.
const MOST: u64 = 1 << 20;

/// The longest line that is waited for: what is longer comes in pieces.
const LONGEST: usize = 64 << 10;

/// A place in a log file that others write, and from time to time empty.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// Bytes that were read.
    at: u64,
    /// The beginning of a line that has not ended yet.
    begun: Vec<u8>,
}

impl LogFile {
    /// The file at `path`, which need not be there yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, at: 0, begun: Vec::new() }
    }

    /// Its last lines, at most so many, and goes to its end.
    ///
    /// # Errors
    /// It cannot be read. One that is not there has no lines.
    pub(super) fn last(&mut self, most: usize) -> io::Result<Vec<String>> {
        let Some(mut file) = self.open()? else { return Ok(Vec::new()) };
        let end = file.seek(SeekFrom::End(0))?;
        self.at = end.saturating_sub(MOST);
        file.seek(SeekFrom::Start(self.at))?;
        let is_cut = self.at > 0;
        let mut lines = self.read(&mut file)?;
        // What ends without a line end is a line as well, for who only looks once.
        let skipped = usize::from(is_cut && !lines.is_empty());
        lines.drain(..skipped);
        lines.drain(..lines.len().saturating_sub(most));
        Ok(lines)
    }

    /// What was written since, whole lines only.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn more(&mut self) -> io::Result<Vec<String>> {
        // Asked for first: most logs are still most of the time, and many may follow them.
        if std::fs::metadata(&self.path).is_ok_and(|about| about.len() == self.at) {
            return Ok(Vec::new());
        }
        let Some(mut file) = self.open()? else { return Ok(Vec::new()) };
        if file.metadata()?.len() < self.at {
            // It was emptied.
            (self.at, self.begun) = (0, Vec::new());
        }
        file.seek(SeekFrom::Start(self.at))?;
        self.read(&mut file)
    }

    fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, file: &mut File) -> io::Result<Vec<String>> {
        let mut bytes = std::mem::take(&mut self.begun);
        let read = file.take(MOST).read_to_end(&mut bytes)?;
        self.at += u64::try_from(read).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let end = if bytes.len() - end > LONGEST { bytes.len() } else { end };
        self.begun = bytes.split_off(end);
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_then_those_that_come() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = LogFile::new(path.clone());
        assert!(log.last(9).expect("nothing").is_empty(), "it is not there yet");
        let mut file = File::options().create(true).append(true).open(&path).expect("opened");
        let mut write = |text: &str| file.write_all(text.as_bytes()).expect("written");
        write("a\nb\nc\r\nd");
        assert_eq!(log.last(2).expect("read"), ["b", "c"]);
        assert!(log.more().expect("read").is_empty());
        write("e\n\nf");
        assert_eq!(log.more().expect("read"), ["de", ""]);
        // Emptied while it is written, as logrotate's copytruncate does.
        File::options().write(true).open(&path).expect("opened").set_len(0).expect("emptied");
        write("new\n");
        assert_eq!(log.more().expect("read"), ["new"]);
        write(&"x".repeat(LONGEST + 1));
        assert_eq!(log.more().expect("read").len(), 1, "a line without an end is not waited for");
    }

    #[test]
    fn a_large_file_is_read_from_near_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let line = "0123456789".repeat(10) + "\n";
        std::fs::write(&path, line.repeat(20_000)).expect("written");
        let mut log = LogFile::new(path);
        let lines = log.last(usize::MAX).expect("read");
        assert!(lines.len() > 10_000 && lines.len() < 10_400 && lines.iter().all(|line| line.len() == 100));
        assert!(log.more().expect("read").is_empty());
    }
}
