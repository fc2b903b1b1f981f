//! Aliases: where they point, and that they get there.

use super::super::address;
use super::super::faces::{by_name, faces, is_split, way};
use super::super::finding::Finding;
use super::super::gym;
use super::super::path::Path;
use super::super::raw::{Raw, RawAlias};
use super::super::suggest;
use super::{aliases, models};

/// More aliases behind each other than anybody can follow.
const DEEPEST: usize = 16;

/// Models and their adapters.
fn ends(raw: &Raw) -> Vec<&str> {
    let mut known = Vec::new();
    for (_, name, model) in models(raw) {
        known.push(name);
        known.extend(model.lora.iter().flat_map(|lora| lora.iter()).map(|(adapter, _)| adapter));
    }
    known
}

pub(super) fn aliases_point_somewhere(raw: &Raw, out: &mut Vec<Finding>) {
    let known = ends(raw);
    for (path, name, alias) in aliases(raw) {
        match (&alias.model, alias.split.0.is_empty()) {
            (None, true) => {
                let reason = format!("The alias `{name}` does not say which model it stands for.");
                let (remedy, _) = suggest::remedy(name, &known, "Write `model: …`. Models and adapters here");
                out.push(Finding::new(path.key("model"), reason, remedy).given([path.key("split")]));
            }
            (Some(_), false) => {
                let reason = format!("The alias `{name}` has both `model` and `split`.");
                let remedy = "Keep `model` for one target, `split` for several with weights.";
                out.push(Finding::new(path.key("split"), reason, remedy));
            }
            _ => {}
        }
        if alias.split.0.is_empty() && alias.sticky.is_some() {
            let reason = "`sticky` chooses among the parts of `split`, and there are none here.";
            out.push(
                Finding::new(path.key("sticky"), reason, "Take it out, or write `split`.").given([path.key("split")]),
            );
        }
        if !alias.split.0.is_empty() && alias.split.iter().all(|(_, weight)| weight.0 == 0) {
            let reason = "Every part has the weight 0: no request would go anywhere.";
            out.push(Finding::new(path.key("split"), reason, "Give at least one part a weight above 0."));
        }
        if let Some(raw) = &alias.gym {
            gym::breaches(&path.key("gym"), raw, out);
        }
        if let Some(mirror) = &alias.mirror {
            let path = path.key("mirror");
            if mirror.to.is_none() {
                let reason = "It does not say who gets the copies.";
                out.push(Finding::new(path.key("to"), reason, "Write `to: …`, the name of a model or alias."));
            }
            if mirror.percent.is_none_or(|percent| percent <= 0.0) {
                let reason = "It does not say how many requests are copied.";
                out.push(Finding::new(path.key("percent"), reason, "Write a number above 0, such as `percent: 5`."));
            }
        }
    }
}

/// Every name that an alias says beside `model`: where, what it is for, which.
fn targets<'a>(path: &Path, alias: &'a RawAlias) -> Vec<(Path, &'static str, &'a str)> {
    let split = path.key("split");
    let mut all: Vec<_> = alias.split.iter().map(|(name, _)| (split.key(name), "a part of `split`", name)).collect();
    let fallback = path.key("fallback");
    let names = alias.fallback.iter().enumerate();
    all.extend(names.map(|(at, name)| (fallback.index(at), "a fallback", name.as_str())));
    let mirror = alias.mirror.as_ref().and_then(|mirror| mirror.to.as_deref());
    all.extend(mirror.map(|name| (path.key("mirror").key("to"), "where copies go", name)));
    all
}

pub(super) fn targets_exist(raw: &Raw, out: &mut Vec<Finding>) {
    let faces = faces(raw);
    let all = by_name(&faces);
    let mut known = ends(raw);
    let models = known.len();
    known.extend(faces.iter().map(|face| face.name.as_str()));
    for (path, name, alias) in aliases(raw) {
        let model = alias.model.as_deref().map(|model| (path.key("model"), "", model));
        for (path, what, target) in model.into_iter().chain(targets(&path, alias)) {
            let own = faces.iter().any(|face| face.name == target && std::ptr::eq(face.raw, alias));
            if own {
                let reason = format!("The alias `{name}` points at itself.");
                let (remedy, _) = suggest::remedy(target, &known[..models], "Models and adapters here");
                out.push(Finding::new(path, reason, remedy));
            } else if !what.is_empty() && is_split(target, &all) {
                let reason = format!("`{target}` is split itself, and so cannot be {what}.");
                out.push(Finding::new(path, reason, "Name one of its parts, or a model."));
            } else if !known.contains(&target) && models > 0 {
                let (remedy, _) = suggest::remedy(target, &known, "Models, adapters and aliases here");
                out.push(Finding::new(path, format!("There is no model or alias `{target}`."), remedy));
            }
        }
    }
}

pub(super) fn fallbacks_are_listed_once(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, alias) in aliases(raw) {
        for (at, name) in alias.fallback.iter().enumerate() {
            let path = path.key("fallback").index(at);
            if alias.fallback[..at].contains(name) {
                out.push(Finding::new(path, "It is listed twice.", "List it once."));
            } else if alias.model.as_ref() == Some(name) {
                let reason = "This is the first choice already.";
                out.push(Finding::new(path, reason, "Name another model or alias, or take it out."));
            }
        }
    }
}

pub(super) fn ways_end(raw: &Raw, out: &mut Vec<Finding>) {
    let faces = faces(raw);
    let all = by_name(&faces);
    let mut told: Vec<&str> = Vec::new();
    for face in &faces {
        let (passed, _) = way(face, &all);
        let next = passed.last().and_then(|last| last.raw.model.as_deref()).and_then(|next| all.get(next));
        // A circle is told where its first member stands; one alias alone is told as pointing at itself.
        if let Some(next) = next.filter(|next| next.name == face.name)
            && passed.len() > 1
            && !told.contains(&face.name.as_str())
        {
            told.extend(passed.iter().map(|face| face.name.as_str()));
            let names: Vec<&str> = passed.iter().map(|face| face.name.as_str()).chain([next.name.as_str()]).collect();
            let reason = format!("These aliases point at each other: {}.", names.join(" -> "));
            out.push(Finding::new(face.path.key("model"), reason, "Let one of them point at a model."));
        } else if passed.len() > DEEPEST {
            let reason = format!("The model is {} aliases away; {DEEPEST} is the most.", passed.len());
            out.push(Finding::new(face.path.key("model"), reason, "Point at a model, or at an alias nearer to it."));
        }
    }
}

pub(super) fn addresses_are_their_own(raw: &Raw, out: &mut Vec<Finding>) {
    let main = [
        (Path::of(["listen"]), "callers", address::listen(&raw.listen).ok()),
        (Path::of(["admin", "listen"]), "operators", address::listen(&raw.admin.listen).ok()),
    ];
    let mut taken: Vec<_> =
        main.into_iter().filter_map(|(path, whose, at)| Some((path, whose.to_owned(), at?))).collect();
    for (path, name, alias) in aliases(raw) {
        let path = path.key("listen");
        let address = match alias.listen.as_deref().map(address::listen) {
            None => continue,
            Some(Ok(address)) => address,
            Some(Err(why)) => {
                out.push(why.at(path));
                continue;
            }
        };
        if alias.variants.is_some() {
            let reason = "An address of its own is for one name; this alias has several.";
            out.push(Finding::new(path, reason, "Take it out; write another alias that points at one of them."));
            continue;
        }
        // Port 0 is chosen by the system, differently each time.
        let clash = taken.iter().find(|(_, _, other)| {
            address.port() != 0 && other.port() == address.port() && address::overlap(*other, address)
        });
        if let Some((other, whose, at)) = clash {
            let reason = format!("This address is taken: {at} is for {whose}.");
            out.push(Finding::new(path, reason, "Give it a port of its own.").given([other.clone()]));
        } else {
            taken.push((path, format!("the alias `{name}`"), address));
        }
    }
}
