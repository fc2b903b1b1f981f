//! The state directory and what runs on it, the hub's cache, and the hub's token.

use super::super::facts::{Deployment, Facts, Folder, Token, TokenPlace};
use super::super::report::{Check, size};

/// With less than this nothing goes on: records and logs are not written.
const LEAST_DISK: u64 = 64 << 20;

/// With less than this logs may fill it soon.
const LITTLE_DISK: u64 = 1 << 30;

/// Even a small model has some GiB.
const LITTLE_FOR_DOWNLOADS: u64 = 20 << 30;

/// Files first, then the token.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![state_dir(&facts.state_dir)];
    checks.extend(state_disk(&facts.state_dir));
    checks.extend(left_over(&facts.deployments));
    checks.extend(hub_cache(facts));
    checks.push(token(&facts.token, &facts.wanted.downloads));
    checks
}

fn state_dir(folder: &Folder) -> Check {
    let (name, path) = ("state_dir", folder.path.display());
    let remedy = "Correct its permissions, or set `state_dir` (`--state-dir`) to a folder of this user.";
    if let Some(owner) = folder.owner {
        return Check::problem(name, format!("The state directory {path} belongs to another user ({owner})."), remedy);
    }
    if let Some(why) = &folder.refused {
        let doing = if folder.is_there { "written to" } else { "made" };
        return Check::problem(name, format!("The state directory {path} cannot be {doing}: {why}."), remedy);
    }
    if folder.is_open {
        let found = format!("All users may write to the state directory {path}.");
        return Check::warning(name, found, format!("`chmod 700 {path}`: logs in it may have prompts."));
    }
    let there = if folder.is_there { "can be written to" } else { "is not there yet, and can be made" };
    Check::ok(name, format!("The state directory {path} {there}."))
}

fn state_disk(folder: &Folder) -> Option<Check> {
    let (name, free) = ("state_disk", folder.disk?.free);
    let found =
        format!("{} are free for records and engine logs, on the disk of {}.", size(free), folder.path.display());
    let remedy = "Make room there, or set `state_dir` to a disk with room.";
    Some(match free {
        free if free < LEAST_DISK => Check::problem(name, found, remedy),
        free if free < LITTLE_DISK => Check::warning(name, found, remedy),
        _ => Check::ok(name, found),
    })
}

/// Engines whose gateway is gone.
fn left_over(deployments: &[Deployment]) -> Vec<Check> {
    let name = "left_over_engines";
    let lost = |one: &&Deployment| one.gateway.is_none() && one.processes > 0;
    let mut checks: Vec<Check> = deployments
        .iter()
        .filter(lost)
        .map(|one| {
            let place = one.state_dir.display();
            let are = if one.processes == 1 { "process of an engine runs" } else { "processes of engines run" };
            let found = format!("{} {are} without a gateway, left by one that used {place}.", one.processes);
            let remedy = format!("`enginehouse serve` of their configuration takes them over; `enginehouse shutdown --state-dir {place}` ends them.");
            Check::warning(name, found, remedy)
        })
        .collect();
    if checks.is_empty() {
        let running: Vec<String> = deployments
            .iter()
            .filter_map(|one| Some((one.gateway?, one)))
            .map(|(pid, one)| match pid {
                Some(pid) => format!("a gateway (pid {pid}) runs on {}", one.state_dir.display()),
                None => format!("a gateway runs on {}", one.state_dir.display()),
            })
            .collect();
        let also = if running.is_empty() { String::new() } else { format!("; {}", running.join(", ")) };
        checks.push(Check::ok(name, format!("No engine runs without its gateway{also}.")));
    }
    checks
}

fn hub_cache(facts: &Facts) -> Option<Check> {
    let (name, folder) = ("hub_cache", facts.hub.as_ref()?);
    let path = folder.path.display();
    let downloads = &facts.wanted.downloads;
    let wanted = downloads.join(", ");
    let is_wanted = !downloads.is_empty();
    if is_wanted && facts.token.is_offline {
        let found = format!("{wanted}: not on this disk, and HF_HUB_OFFLINE forbids to download.");
        return Some(Check::problem(name, found, "Unset HF_HUB_OFFLINE, or bring the files here: `hf download NAME`."));
    }
    if let Some(why) = &folder.refused {
        let found = format!("The cache of the Hugging Face hub, {path}, cannot be written to: {why}.");
        let remedy = "Correct its permissions, or set HF_HOME to a folder of this user.";
        return Some(match is_wanted {
            true => Check::problem(name, format!("{found} To be downloaded: {wanted}."), remedy),
            false => Check::ok(name, format!("{found} Nothing is to be downloaded.")),
        });
    }
    let free = folder.disk?.free;
    let found = format!("{} are free for models, on the disk of {path}.", size(free));
    let is_little = free < LITTLE_FOR_DOWNLOADS;
    Some(match is_wanted {
        true if is_little => Check::warning(
            name,
            format!("{found} To be downloaded: {wanted}."),
            "Make room, or set HF_HOME to a disk with room; `enginehouse models` shows what takes it.",
        ),
        true => Check::ok(name, format!("{found} To be downloaded: {wanted}.")),
        false => Check::ok(name, found),
    })
}

fn token(token: &Token, downloads: &[String]) -> Check {
    let name = "hub_token";
    match &token.place {
        Some(TokenPlace::Variable(variable)) => {
            Check::ok(name, format!("There is a token for the Hugging Face hub, in {variable}."))
        }
        Some(TokenPlace::Models) => Check::ok(name, "There is a token for the Hugging Face hub, in `env` of models."),
        Some(TokenPlace::File { path, is_open: true }) => Check::warning(
            name,
            format!("Other users may read the token for the Hugging Face hub in {}.", path.display()),
            format!("`chmod 600 {}`.", path.display()),
        ),
        Some(TokenPlace::File { path, .. }) => {
            Check::ok(name, format!("There is a token for the Hugging Face hub, in {}.", path.display()))
        }
        None if downloads.is_empty() => Check::ok(
            name,
            "There is no token for the Hugging Face hub: only models that are open to all can be downloaded.",
        ),
        None => Check::warning(
            name,
            format!(
                "There is no token for the Hugging Face hub: models that are not open to all are refused. To be downloaded: {}.",
                downloads.join(", ")
            ),
            "If one of them asks for consent on its page: `hf auth login`, or set HF_TOKEN.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Disk;
    use super::super::super::report::Status;
    use super::super::super::testing::healthy;
    use super::*;

    fn folder(change: impl FnOnce(&mut Folder)) -> Folder {
        let mut folder = healthy().state_dir;
        change(&mut folder);
        folder
    }

    fn free(bytes: u64) -> Option<Disk> {
        Some(Disk { total: 1 << 40, free: bytes })
    }

    #[test]
    fn the_state_directory_must_be_ours_and_have_room() {
        assert_eq!(state_dir(&folder(|folder| folder.owner = Some(0))).status, Status::Problem);
        let refused = state_dir(&folder(|folder| {
            folder.is_there = false;
            folder.refused = Some("Permission denied".into());
        }));
        assert!(
            refused.status == Status::Problem && refused.found.contains("cannot be made: Permission denied"),
            "{refused:?}"
        );
        assert_eq!(state_dir(&folder(|folder| folder.is_open = true)).status, Status::Warning);
        let disk = |bytes| state_disk(&folder(|folder| folder.disk = free(bytes))).map(|check| check.status);
        assert_eq!(
            [1 << 20, 100 << 20, 10 << 30].map(disk),
            [Some(Status::Problem), Some(Status::Warning), Some(Status::Ok)]
        );
        assert!(state_disk(&folder(|folder| folder.disk = None)).is_none());
    }

    #[test]
    fn engines_without_a_gateway_are_told() {
        let one = |gateway, processes| Deployment { state_dir: "/state".into(), gateway, processes };
        let statuses = |all: &[Deployment]| left_over(all).iter().map(|check| check.status).collect::<Vec<_>>();
        assert_eq!(statuses(&[]), [Status::Ok]);
        assert_eq!(statuses(&[one(Some(Some(7)), 3), one(Some(None), 0)]), [Status::Ok]);
        assert_eq!(statuses(&[one(None, 2), one(Some(Some(7)), 3)]), [Status::Warning]);
        assert!(left_over(&[one(None, 2)])[0].remedy.as_ref().is_some_and(|text| text.contains("--state-dir /state")));
        assert!(left_over(&[one(Some(Some(7)), 3)])[0].found.contains("a gateway (pid 7) runs on /state"));
    }

    #[test]
    fn downloads_need_room_permission_and_the_network() {
        let mut facts = healthy();
        let status = |facts: &Facts| hub_cache(facts).map(|check| check.status);
        facts.hub = Some(folder(|folder| folder.disk = free(1 << 30)));
        assert_eq!(status(&facts), Some(Status::Ok), "nothing is to be downloaded");
        facts.wanted.downloads = vec!["org/a".into()];
        assert_eq!(status(&facts), Some(Status::Warning));
        facts.hub = Some(folder(|folder| folder.refused = Some("Read-only file system".into())));
        assert_eq!(status(&facts), Some(Status::Problem));
        facts.hub = healthy().hub;
        assert_eq!(status(&facts), Some(Status::Ok));
        facts.token.is_offline = true;
        assert_eq!(status(&facts), Some(Status::Problem));
        facts.hub = None;
        assert_eq!(status(&facts), None);
    }

    #[test]
    fn a_token_is_missed_only_where_one_may_be_needed() {
        let at = |place, downloads: &[&str]| {
            let downloads: Vec<String> = downloads.iter().map(|&name| name.to_owned()).collect();
            token(&Token { place, is_offline: false }, &downloads).status
        };
        assert_eq!(at(None, &[]), Status::Ok);
        assert_eq!(at(None, &["org/a"]), Status::Warning);
        assert_eq!(at(Some(TokenPlace::Variable("HF_TOKEN".into())), &["org/a"]), Status::Ok);
        assert_eq!(at(Some(TokenPlace::Models), &["org/a"]), Status::Ok);
        let file = |is_open| Some(TokenPlace::File { path: "/t".into(), is_open });
        assert_eq!((at(file(false), &[]), at(file(true), &[])), (Status::Ok, Status::Warning));
    }
}
