//! The addresses of the gateway and the ports of engines.

use super::super::facts::{Configuration, EnginePorts, Facts, Port, PortState};
use super::super::report::Check;

/// Each address, then the ports of engines.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let is_given = facts.configuration != Configuration::NotGiven;
    let mut checks: Vec<Check> = facts.ports.iter().map(|port| of_port(port, is_given)).collect();
    checks.extend(facts.engine_ports.as_ref().map(|found| engine_ports(found, facts)));
    checks
}

fn of_port(port: &Port, is_given: bool) -> Check {
    let Port { key, address, state } = port;
    let other = format!("or set `{key}` to another address.");
    match state {
        PortState::Free => Check::ok("ports", format!("{address} (`{key}`) is free.")),
        PortState::Ours(pid) => {
            Check::ok("ports", format!("{address} (`{key}`) is served by a gateway already (pid {pid})."))
        }
        PortState::Taken(holder) => {
            let (who, remedy) = match holder {
                Some(holder) => {
                    let name = holder.name.as_deref().unwrap_or("a process");
                    (format!("{name} (pid {})", holder.pid), format!("Stop it, {other}"))
                }
                None => ("another process".to_owned(), format!("`ss -ltnp` as root names it. Stop it, {other}")),
            };
            Check::bad(is_given, "ports", format!("{address} (`{key}`) is taken: {who} listens there."), remedy)
        }
        PortState::Privileged => Check::problem(
            "ports",
            format!("This user may not listen on {address} (`{key}`): ports below 1024 need privileges."),
            format!("Give the program CAP_NET_BIND_SERVICE, {other}"),
        ),
        PortState::NoSuchAddress => Check::problem(
            "ports",
            format!("No interface of this machine has the address {address} (`{key}`)."),
            format!("Set `{key}` to an address of this machine: 0.0.0.0 is all, 127.0.0.1 is only for programs on it."),
        ),
        PortState::Refused(why) => Check::problem(
            "ports",
            format!("{address} (`{key}`) cannot be listened on: {why}."),
            format!("Correct that, {other}"),
        ),
    }
}

fn engine_ports(found: &EnginePorts, facts: &Facts) -> Check {
    let EnginePorts { range, taken } = found;
    let free = range.len().saturating_sub(*taken);
    let found =
        format!("{free} of the ports {}-{} (`ports`), which engines are given, are free.", range.start(), range.end());
    // Engines that run now have theirs.
    let running: usize = facts.deployments.iter().map(|one| one.processes).sum();
    match free < facts.wanted.processes && running == 0 {
        true => Check::problem(
            "engine_ports",
            format!("{found} There are {} engines.", facts.wanted.processes),
            "Widen `ports`.",
        ),
        false => Check::ok("engine_ports", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Holder;
    use super::super::super::report::Status;
    use super::super::super::testing::healthy;
    use super::*;

    #[test]
    fn each_state_of_a_port_has_its_outcome() {
        let at = |state| {
            let port = Port { key: "listen".into(), address: ([127, 0, 0, 1], 8000).into(), state };
            of_port(&port, true)
        };
        assert_eq!(at(PortState::Free).status, Status::Ok);
        assert_eq!(at(PortState::Ours(7)).status, Status::Ok);
        let taken = at(PortState::Taken(Some(Holder { pid: 7, name: Some("python3 train.py".into()) })));
        assert_eq!(taken.found, "127.0.0.1:8000 (`listen`) is taken: python3 train.py (pid 7) listens there.");
        assert_eq!(taken.status, Status::Problem);
        assert!(at(PortState::Taken(None)).remedy.is_some_and(|text| text.contains("ss -ltnp")));
        for state in [PortState::Privileged, PortState::NoSuchAddress, PortState::Refused("no".into())] {
            assert_eq!(at(state).status, Status::Problem);
        }
        let port = Port { key: "listen".into(), address: ([127, 0, 0, 1], 8000).into(), state: PortState::Taken(None) };
        assert_eq!(of_port(&port, false).status, Status::Warning, "another one may be configured");
    }

    #[test]
    fn engines_need_as_many_ports_as_there_are_engines() {
        let mut facts = healthy();
        let found = EnginePorts { range: 21000..=21001, taken: 1 };
        facts.wanted.processes = 2;
        assert_eq!(engine_ports(&found, &facts).status, Status::Problem);
        facts.deployments[0].processes = 2;
        assert_eq!(engine_ports(&found, &facts).status, Status::Ok, "theirs are among those that are taken");
    }
}
