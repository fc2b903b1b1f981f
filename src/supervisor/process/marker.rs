//! The mark that all processes of one start of an engine carry: in their environment, or as a limit.

use rustix::process::getpgrp;

use super::limit;
use super::procfs::{ProcessInfo, environ};

/// The variable that tells which start of which engine of which deployment a process came from:
/// `{deployment}:{engine}:{nonce}`. Earlier gateways wrote no deployment.
pub(crate) const VARIABLE: &str = "ENGINEHOUSE_ENGINE";

/// What one start of an engine is marked with. Children inherit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    engine: String,
    nonce: String,
    /// Which gateways started it: 16 hexadecimal digits.
    deployment: Option<String>,
}

impl Marker {
    /// One that no other start ever had.
    pub(crate) fn fresh(engine: &str) -> Self {
        Self { engine: engine.to_owned(), nonce: format!("{:032x}", fastrand::u128(..)), deployment: None }
    }

    /// The marker of a start that was recorded.
    pub(crate) fn of(engine: &str, nonce: &str) -> Self {
        Self { engine: engine.to_owned(), nonce: nonce.to_owned(), deployment: None }
    }

    /// The same, of engines of this deployment.
    pub(crate) fn of_deployment(self, deployment: &str) -> Self {
        Self { deployment: Some(deployment.to_owned()), ..self }
    }

    /// All markers in an environment that tell a deployment.
    pub(crate) fn all_in(environ: &[u8]) -> Vec<Self> {
        let texts = values_of(VARIABLE, environ).filter_map(|value| std::str::from_utf8(value).ok());
        let markers = texts.filter_map(|text| {
            let (deployment, rest) = text.split_once(':')?;
            let (engine, nonce) = rest.rsplit_once(':')?;
            let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_hex(deployment, 16) && is_hex(nonce, 32)).then(|| Self::of(engine, nonce).of_deployment(deployment))
        });
        markers.collect()
    }

    /// The engine's id.
    pub(crate) fn engine(&self) -> &str {
        &self.engine
    }

    /// Which gateways started it, where it tells.
    pub(crate) fn deployment(&self) -> Option<&str> {
        self.deployment.as_deref()
    }

    /// 32 hexadecimal digits.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// What [`VARIABLE`] is set to.
    pub(crate) fn value(&self) -> String {
        let deployment = self.deployment.iter().map(|id| format!("{id}:")).collect::<String>();
        format!("{deployment}{}:{}", self.engine, self.nonce)
    }

    /// The resource limit that says the same, see [`limit`]. `None` when there is no proper nonce.
    pub(crate) fn limit(&self) -> Option<u64> {
        limit::number(&self.nonce)
    }

    /// Whether a process carries this marker. What is in our own group is not an engine's: commands that we start for
    /// ourselves while an engine is started get its limit, too.
    pub(crate) fn is_on(&self, info: &ProcessInfo) -> bool {
        let limit = self.limit().filter(|_| info.group != getpgrp().as_raw_nonzero().get());
        limit.is_some_and(|limit| limit::of(info.who.pid) == Some(limit)) || self.is_in(&environ(info.who.pid))
    }

    /// Whether an environment, as `/proc/PID/environ` shows it, holds this marker. The nonce decides: it is unique, and
    /// all that may be left of a damaged record.
    pub(crate) fn is_in(&self, environ: &[u8]) -> bool {
        values_of(VARIABLE, environ).any(|value| {
            let (front, nonce) = value.split_at(value.len().saturating_sub(self.nonce.len()));
            front.ends_with(b":") && nonce == self.nonce.as_bytes()
        })
    }
}

/// Every value of the variable `name` in an environment. A shell that starts puts a zero in the place of each `=` for an instant.
pub(crate) fn values_of<'a>(name: &str, environ: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut is_value = false;
    environ.split(|byte| *byte == 0).filter_map(move |entry| {
        let was_name = std::mem::replace(&mut is_value, entry == name.as_bytes());
        let value = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.or(was_name.then_some(entry))
    })
}

/// Whether a process came from some start of some engine, of whichever gateway, by what it carries.
pub(crate) fn comes_from_some_engine(pid: i32) -> bool {
    limit::of(pid).is_some_and(limit::is_ours) || is_marked(&environ(pid))
}

/// Whether an environment is that of some start of some engine, of whichever gateway.
pub(crate) fn is_marked(environ: &[u8]) -> bool {
    values_of(VARIABLE, environ).next().is_some()
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::super::procfs::{Identity, look};
    use super::*;

    #[test]
    fn a_marker_is_exact() {
        let marker = Marker::of("m/0", &"a1".repeat(16));
        let environ = |value: &str| format!("A=b\0{VARIABLE}={value}\0C=d\0").into_bytes();
        assert!(marker.is_in(&environ(&marker.value())));
        assert!(!marker.is_in(&environ(&Marker::fresh("m/0").value())));
        assert!(!marker.is_in(&environ(&format!("{}0", marker.value()))));
        assert!(!marker.is_in(&environ(marker.nonce())), "a nonce without engine is not ours");
        assert!(!marker.is_in(format!("X{VARIABLE}={}\0", marker.value()).as_bytes()));
        assert!(marker.is_in(format!("A=b\0{VARIABLE}\0{}\0", marker.value()).as_bytes()), "a shell that starts");
        let id = "0123456789abcdef";
        let told = marker.clone().of_deployment(id);
        assert!(marker.is_in(&environ(&told.value())) && told.is_in(&environ(&marker.value())));
        assert_eq!(Marker::all_in(&environ(&told.value())), [told]);
        let odd = Marker::of("a:b/0", marker.nonce()).of_deployment(id);
        assert_eq!(Marker::all_in(&environ(&odd.value())), [odd], "names may hold colons");
        assert_eq!(Marker::all_in(&environ(&marker.value())), [], "it tells no deployment");
        assert!(!marker.is_in(b"") && !is_marked(b"") && is_marked(&environ("x")));
    }

    #[test]
    fn a_process_in_the_middle_of_an_exec_is_not_missed() {
        let marker = Marker::fresh("m/0");
        let mut shell = std::process::Command::new("bash");
        // Execs itself again and again.
        let script = "i=$((${1:-0} + 1)); [ $i -lt 300 ] && exec bash -c \"$0\" \"$0\" $i; exec sleep 300";
        let mut child = shell.args(["-c", script, script]).env(VARIABLE, marker.value()).spawn().expect("bash");
        let who = Identity::of(child.id().cast_signed()).expect("it lives");
        let (mut looks, mut in_a_row, mut worst) = (0, 0, 0);
        while look(who.pid).is_some_and(|info| info.name != "sleep") {
            looks += 1;
            in_a_row = if marker.is_in(&environ(who.pid)) { 0 } else { in_a_row + 1 };
            worst = worst.max(in_a_row);
        }
        who.signal(Signal::KILL);
        child.wait().expect("our child");
        // Before nothing is said to be left, it is looked for at least twice in a row (`ProcessTree::end_now`).
        assert!(looks > 10 && worst < 2, "missed {worst} times in a row of {looks}");
    }
}
