//! Edits a saved file: on a copy, which takes its place only when it is valid.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::store;
use super::terminal::{asked, can_ask, say};
use crate::app::{replace_text, user_profiles};
use crate::cli::output::complain;
use crate::config::{Layers, parse_layers, read_file};

/// Lets the user edit `file` until `check` finds nothing wrong with the text, or the user gives up.
///
/// # Errors
/// Why the file was not changed.
pub(in crate::cli) fn edit(file: &Path, check: &dyn Fn(&str) -> Result<(), String>) -> Result<(), String> {
    let editor = editor()?;
    let read = |path: &Path| read_file(path).map_err(|found| found.to_string());
    let old = read(file)?;
    let copy = copy_of(file);
    if copy.symlink_metadata().is_ok() {
        if read(&copy)? != old {
            complain(&format!(
                "Goes on with {}, which an earlier edit left; it is saved when it is valid. To begin anew, leave the editor and \
                 delete it.",
                copy.display()
            ));
        }
    } else {
        store::write_new(&copy, &old, false)?;
    }
    loop {
        let opened = open(&editor, &copy);
        let new = read(&copy)?;
        if let Err(why) = opened {
            if new == old {
                let _ = std::fs::remove_file(&copy);
                return Err(format!("{why} Nothing was changed."));
            }
            return Err(format!("{why} {} stays as it was; what you wrote is in {}.", file.display(), copy.display()));
        }
        if new == old {
            let _ = std::fs::remove_file(&copy);
            say("Nothing was changed.\n");
            return Ok(());
        }
        let kept = format!("{} stays as it was; what you wrote is in {}.", file.display(), copy.display());
        match check(&new) {
            Ok(()) if read(file)? != old => {
                return Err(format!("{} was changed by another program meanwhile. {kept}", file.display()));
            }
            Ok(()) => {
                replace_text(file, &new)
                    .map_err(|error| format!("{} cannot be written: {error}. {kept}", file.display()))?;
                let _ = std::fs::remove_file(&copy);
                say(&format!("Saved {}. {}\n", file.display(), what_follows(file, &old)));
                return Ok(());
            }
            Err(found) if !can_ask() => return Err(format!("{found}\n\n{kept}")),
            Err(found) => {
                if matches!(asked(&format!("{found}\n\nGo back to the editor? [Y/n] ")).as_str(), "n" | "no") {
                    return Err(kept);
                }
            }
        }
    }
}

/// What a gateway that runs with the changed file does, by what was in the file before, which is what it read last.
fn what_follows(file: &Path, old: &str) -> &'static str {
    let env = |name: &str| std::env::var(name).ok();
    let layers = Layers::of(file, old).with_profiles(user_profiles());
    match parse_layers(&layers, &env) {
        Ok(config) if config.watch => "A gateway that runs with it reloads it by itself (`watch: true`).",
        _ => "A gateway that runs with it goes on as it is until `enginehouse reload`.",
    }
}

/// What opens a file.
fn editor() -> Result<String, String> {
    let set = |name| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    set("VISUAL")
        .or_else(|| set("EDITOR"))
        .ok_or_else(|| "Which editor? Set the environment variable VISUAL or EDITOR, such as EDITOR=nano.".to_owned())
}

/// Beside the file, so that it is on the same disk and as private.
fn copy_of(file: &Path) -> PathBuf {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    file.with_file_name(format!(".{name}.edited"))
}

/// Runs the editor, whose command may have arguments, and waits for its end.
fn open(editor: &str, copy: &Path) -> Result<(), String> {
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(copy).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("The editor ({editor}) ended with {status}.")),
        Err(error) => Err(format!("The editor ({editor}) cannot be started: {error}.")),
    }
}
