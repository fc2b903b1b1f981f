//! `enginehouse completions` and `enginehouse man`: what shells and `man` know of the command line, made from it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::aot::{Bash, Fish, Generator, Zsh};
use clap_mangen::Man;

use super::output::{Exit, Failure, ended, print};

/// A shell whose completions are made.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completions of `shell`.
pub(super) fn print_for(shell: Shell, command: &mut Command) -> ExitCode {
    print(&text(shell, command));
    ExitCode::SUCCESS
}

fn text(shell: Shell, command: &mut Command) -> String {
    match shell {
        Shell::Bash => made(Bash, command),
        Shell::Zsh => made(Zsh, command),
        Shell::Fish => made(Fish, command),
    }
}

fn made(shell: impl Generator, command: &mut Command) -> String {
    let mut bytes = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::aot::generate(shell, command, name, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes a man page of each command into `folder`.
pub(super) fn man(folder: &Path, command: Command) -> ExitCode {
    ended(write(folder, command))
}

fn write(folder: &Path, command: Command) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    for (name, page) in pages(command).map_err(failed)? {
        fs::write(folder.join(name), page).map_err(failed)?;
    }
    Ok(())
}

/// Names and texts of all man pages.
fn pages(command: Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command;
    command.build();
    let mut pages = Vec::new();
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|one| !one.is_hide_set()).cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        pages.push((format!("{name}.1"), page));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command_line;

    #[test]
    fn the_shipped_completions_are_those_of_the_command_line() {
        for (shell, name) in
            [(Shell::Bash, "enginehouse.bash"), (Shell::Zsh, "_enginehouse"), (Shell::Fish, "enginehouse.fish")]
        {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/completions").join(name);
            let text = text(shell, &mut command_line());
            if std::env::var_os("ENGINEHOUSE_WRITE_SCHEMA").is_some() {
                fs::create_dir_all(shipped.parent().expect("a folder")).expect("a writable conf/");
                fs::write(&shipped, &text).expect("a writable conf/");
            }
            assert!(
                fs::read_to_string(&shipped).unwrap_or_default() == text,
                "{} is not what the command line says; run this test with ENGINEHOUSE_WRITE_SCHEMA=1 to write it anew",
                shipped.display()
            );
        }
    }

    #[test]
    fn every_command_has_a_man_page_and_the_shipped_ones_are_those_of_the_command_line() {
        let pages = pages(command_line()).expect("written");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/man");
        if std::env::var_os("ENGINEHOUSE_WRITE_SCHEMA").is_some() {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).expect("a writable conf/");
            pages.iter().for_each(|(name, page)| fs::write(folder.join(name), page).expect("a writable conf/"));
        }
        let other: Vec<&str> = pages
            .iter()
            .filter(|(name, page)| fs::read(folder.join(name)).unwrap_or_default() != *page)
            .map(|(name, _)| name.as_str())
            .collect();
        let shipped = fs::read_dir(&folder).map_or(0, |entries| entries.count());
        assert!(
            other.is_empty() && shipped == pages.len(),
            "conf/man is not what the command line says ({shipped} files; other: {other:?}); run this test with \
             ENGINEHOUSE_WRITE_SCHEMA=1 to write it anew"
        );
        assert!(pages.iter().any(|(name, _)| name == "enginehouse.1"));
        let page = pages.iter().find(|(name, _)| name == "enginehouse-lora-add.1").expect("a command of a command");
        assert!(String::from_utf8_lossy(&page.1).contains("LoRA"));
    }
}
