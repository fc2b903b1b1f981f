//! Aliases: they point at something, and every chain of aliases ends at a model.

use super::entries::{aliases, models};
use crate::config::address;
use crate::config::diagnostic::Draft;
use crate::config::expanded_alias::ExpandedAliases;
use crate::config::path::Path;
use crate::config::raw::{Raw, RawAlias};
use crate::config::suggest;

/// Longest chain of aliases.
const DEEPEST: usize = 16;

/// Models and their adapters.
fn ends(raw: &Raw) -> Vec<&str> {
    models(raw).flat_map(|(_, name, model)| [name].into_iter().chain(model.adapters().map(|(name, _)| name))).collect()
}

pub(super) fn aliases_point_somewhere(raw: &Raw, out: &mut Vec<Draft>) {
    let known = ends(raw);
    for (path, name, alias) in aliases(raw) {
        match (&alias.model, alias.split.0.is_empty()) {
            (None, true) => {
                let reason = format!("The alias `{name}` does not say which model it points at.");
                let (remedy, _) = suggest::remedy(name, &known, "Write `model: …`. Models and adapters here");
                out.push(Draft::new(path.key("model"), reason, remedy).given([path.key("split")]));
            }
            (Some(_), false) => {
                let reason = format!("The alias `{name}` has both `model` and `split`.");
                let remedy = "Keep `model` for one target, `split` for several with weights.";
                out.push(Draft::new(path.key("split"), reason, remedy));
            }
            _ => {}
        }
        if alias.split.0.is_empty() && alias.sticky.is_some() {
            let reason = "`sticky` selects a part of `split`, and there is no `split` here.";
            let draft = Draft::new(path.key("sticky"), reason, "Remove it, or write `split`.");
            out.push(draft.given([path.key("split")]));
        }
        if !alias.split.0.is_empty() && alias.split.iter().all(|(_, weight)| weight.0 == 0) {
            let reason = "Every part has the weight 0: no request can be sent anywhere.";
            out.push(Draft::new(path.key("split"), reason, "Give at least one part a weight above 0."));
        }
        if let Some(mirror) = &alias.mirror {
            let path = path.key("mirror");
            if mirror.to.is_none() {
                let reason = "It does not say who gets the copies.";
                out.push(Draft::new(path.key("to"), reason, "Write `to: …`, the name of a model or alias."));
            }
            if mirror.percent.is_none_or(|percent| percent <= 0.0) {
                let reason = "It does not say how many requests are copied.";
                out.push(Draft::new(path.key("percent"), reason, "Write a number above 0, such as `percent: 5`."));
            }
        }
    }
}

/// Every name that an alias has beside `model`: where, what it is for, which.
pub(super) fn targets<'a>(path: &Path, alias: &'a RawAlias) -> Vec<(Path, &'static str, &'a str)> {
    let split = path.key("split");
    let mut all: Vec<_> = alias.split.iter().map(|(name, _)| (split.key(name), "a part of `split`", name)).collect();
    let fallback = path.key("fallback");
    let names = alias.fallback.iter().enumerate();
    all.extend(names.map(|(at, name)| (fallback.index(at), "a fallback", name.as_str())));
    let mirror = alias.mirror.as_ref().and_then(|mirror| mirror.to.as_deref());
    all.extend(mirror.map(|name| (path.key("mirror").key("to"), "where copies go", name)));
    all
}

pub(super) fn targets_exist(raw: &Raw, out: &mut Vec<Draft>) {
    let all = ExpandedAliases::of(raw);
    let mut known = ends(raw);
    let models = known.len();
    known.extend(all.iter().map(|alias| alias.name.as_str()));
    for (path, name, alias) in aliases(raw) {
        let model = alias.model.as_deref().map(|model| (path.key("model"), "", model));
        for (path, what, target) in model.into_iter().chain(targets(&path, alias)) {
            let own = all.iter().any(|other| other.name == target && std::ptr::eq(other.raw, alias));
            if own && known[..models].contains(&target) {
                // It is meant for the model of that name, and that the name is taken is told already.
                continue;
            }
            if own {
                let reason = format!("The alias `{name}` points at itself.");
                let (remedy, _) = suggest::remedy(target, &known[..models], "Models and adapters here");
                out.push(Draft::new(path, reason, remedy));
            } else if !what.is_empty() && all.is_split(target) {
                let reason = format!("`{target}` is split itself, and so cannot be {what}.");
                out.push(Draft::new(path, reason, "Write one of its parts, or a model."));
            } else if !known.contains(&target) && models > 0 {
                // To point at itself would not help.
                let others: Vec<&str> = known.iter().copied().filter(|known| *known != name).collect();
                let (remedy, _) = suggest::remedy(target, &others, "Models, adapters and aliases here");
                out.push(Draft::new(path, format!("There is no model or alias `{target}`."), remedy));
            }
        }
    }
}

pub(super) fn fallbacks_are_listed_once(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, alias) in aliases(raw) {
        for (at, name) in alias.fallback.iter().enumerate() {
            let path = path.key("fallback").index(at);
            if alias.fallback[..at].contains(name) {
                out.push(Draft::new(path, "It is listed twice.", "List it once."));
            } else if alias.model.as_ref() == Some(name) {
                let reason = "This is the alias's `model`, which is tried first.";
                out.push(Draft::new(path, reason, "Write another model or alias, or remove it."));
            }
        }
    }
}

pub(super) fn chains_end(raw: &Raw, out: &mut Vec<Draft>) {
    let all = ExpandedAliases::of(raw);
    let mut reported: Vec<&str> = Vec::new();
    for alias in all.iter() {
        let (chain, _) = all.chain(alias);
        let next = chain.last().and_then(|last| all.get(last.raw.model.as_deref()?));
        // A circle is reported at its first member; one alias alone is reported as pointing at itself.
        if let Some(next) = next.filter(|next| next.name == alias.name)
            && chain.len() > 1
            && !reported.contains(&alias.name.as_str())
        {
            let names: Vec<&str> = chain.iter().map(|alias| alias.name.as_str()).collect();
            let reason = format!("These aliases point at each other: {} -> {}.", names.join(" -> "), next.name);
            out.push(Draft::new(alias.path.key("model"), reason, "Let one of them point at a model."));
            reported.extend(names);
        } else if chain.len() > DEEPEST {
            let reason = format!("The model is {} aliases away; the limit is {DEEPEST}.", chain.len());
            out.push(Draft::new(alias.path.key("model"), reason, "Point at a model, or at an alias nearer to it."));
        }
    }
}

pub(super) fn addresses_are_not_shared(raw: &Raw, out: &mut Vec<Draft>) {
    let main = [
        (Path::of(&["listen"]), "the API", address::listen(&raw.listen).ok()),
        (Path::of(&["admin", "listen"]), "the operators' API", address::listen(&raw.admin.listen).ok()),
    ];
    let mut taken: Vec<_> =
        main.into_iter().filter_map(|(path, whose, at)| Some((path, whose.to_owned(), at?))).collect();
    for (path, name, alias) in aliases(raw) {
        let path = path.key("listen");
        let address = match alias.listen.as_deref().map(address::listen) {
            None => continue,
            Some(Ok(address)) => address,
            Some(Err(draft)) => {
                out.push(draft.at(path));
                continue;
            }
        };
        if alias.variants.is_some() {
            let reason = "An address of its own is for one name; this alias has several.";
            out.push(Draft::new(path, reason, "Remove it; write another alias that points at one of them."));
            continue;
        }
        // Port 0 is chosen by the system, differently each time.
        let clash = taken.iter().find(|(_, _, other)| {
            address.port() != 0 && other.port() == address.port() && address::overlap(*other, address)
        });
        if let Some((other, whose, at)) = clash {
            let reason = format!("This address is in use: {at} is for {whose}.");
            out.push(Draft::new(path, reason, "Give it a port of its own.").given([other.clone()]));
        } else {
            taken.push((path, format!("the alias `{name}`"), address));
        }
    }
}
