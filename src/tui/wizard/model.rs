//! The page of one model: its names, port, profile and adapters.

use super::form::Form;
use super::gateway::words;
use super::known::Known;
use crate::config::{Answers, ModelAnswers};
use crate::local_models::LocalAdapter;

/// What is chosen where there is no profile.
const NO_PROFILE: &str = "none";

/// More engines of one model are refused by configurations.
const MOST_ENGINES: usize = 1024;

/// Longer names are refused by configurations.
const LONGEST: usize = 256;

/// The page with what is answered already.
pub(super) fn form(model: &ModelAnswers, known: &Known) -> Form {
    let mut profiles = vec![(NO_PROFILE.to_owned(), String::new())];
    profiles.extend(known.profiles.iter().map(|profile| (profile.name.clone(), profile.description.clone())));
    if let Some(own) = model.profile.as_ref().filter(|own| profiles.iter().all(|(name, _)| name != *own)) {
        profiles.push((own.clone(), String::new()));
    }
    let port = model.port.map_or_else(String::new, |port| port.to_string());
    let mut form = Form::default()
        .line("name", ("Name", "What clients put into `model`."), &model.name)
        .line(
            "aliases",
            ("Further names", "Other names for the same model, with commas. Empty: none."),
            &model.aliases.join(", "),
        )
        .empty("none")
        .line(
            "replicas",
            ("Engines", "How many engines of it run at the same time, each on GPUs of its own; requests are spread over them."),
            &model.replicas.to_string(),
        )
        .line(
            "port",
            (
                "Port of its engine",
                "Clients do not need it: they use the gateway's. With several engines: the port of the first, the next ports for the \
                 others. Empty: free ones.",
            ),
            &port,
        )
        .empty("a free one")
        .choice("profile", ("Profile", "Flags for vLLM; ← → chooses."), profiles, model.profile.as_deref());
    for (at, adapter) in known.adapters(&model.source).into_iter().enumerate() {
        let is_on = model.adapters.iter().any(|(_, path)| *path == adapter.source);
        let rank = adapter.rank.map_or_else(String::new, |rank| format!(", rank {rank}"));
        let hint = format!("A LoRA adapter of this model{rank}: clients ask for it by the name `{}`.", short(adapter));
        form = form.switch(&adapter_id(at), (&format!("Adapter {}", short(adapter)), &hint), is_on);
    }
    form
}

fn adapter_id(at: usize) -> String {
    format!("adapter {at}")
}

/// The name of an adapter: the end of its source.
fn short(adapter: &LocalAdapter) -> String {
    adapter.source.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase()
}

/// Takes the answers of the page for the model at `at`.
///
/// # Errors
/// The field that is wrong, and why.
pub(super) fn take(form: &Form, answers: &mut Answers, at: usize, known: &Known) -> Result<(), (&'static str, String)> {
    let others = || answers.models.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, model)| model);
    let is_taken = |name: &str| others().any(|model| model.name == name || model.aliases.iter().any(|own| own == name));
    let name = form.text("name").to_owned();
    let aliases = words(form.text("aliases"));
    for (id, text) in std::iter::once(("name", &name)).chain(aliases.iter().map(|text| ("aliases", text))) {
        if text.is_empty() || text.len() > LONGEST {
            return Err((id, format!("A name has 1 to {LONGEST} characters.")));
        }
        if is_taken(text) {
            return Err((id, format!("Another model has the name `{text}`.")));
        }
    }
    if aliases.contains(&name) {
        return Err(("aliases", format!("`{name}` is the name itself.")));
    }
    let replicas = match form.text("replicas").parse::<usize>() {
        Ok(count @ 1..=MOST_ENGINES) => count,
        _ => return Err(("replicas", format!("The number of engines is from 1 to {MOST_ENGINES}."))),
    };
    let port = port(form, replicas, &others().collect::<Vec<_>>(), answers)?;
    let Some(model) = answers.models.get_mut(at) else { return Ok(()) };
    let profile = Some(form.text("profile")).filter(|_| form.chosen("profile") > 0).map(str::to_owned);
    (model.name, model.aliases, model.replicas, model.port, model.profile) = (name, aliases, replicas, port, profile);
    for (place, adapter) in known.adapters(&model.source).into_iter().enumerate() {
        let known_at = model.adapters.iter().position(|(_, path)| *path == adapter.source);
        match (form.is_on(&adapter_id(place)), known_at) {
            (true, None) => model.adapters.push((short(adapter), adapter.source.clone())),
            (false, Some(known_at)) => drop(model.adapters.remove(known_at)),
            _ => {}
        }
    }
    Ok(())
}

/// The port of the first engine; the others have the next ones.
fn port(
    form: &Form,
    replicas: usize,
    others: &[&ModelAnswers],
    answers: &Answers,
) -> Result<Option<u16>, (&'static str, String)> {
    let range = |port: u16, engines: usize| usize::from(port)..usize::from(port) + engines;
    let port = match form.text("port") {
        "" => return Ok(None),
        text => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(("port", "A port is a number from 1 to 65535.".to_owned())),
        },
    };
    let own = range(port, replicas);
    if own.end > usize::from(u16::MAX) + 1 {
        return Err(("port", format!("{replicas} engines have the ports from {port} on: that is past 65535.")));
    }
    let meets = |other: &ModelAnswers| {
        let theirs = range(other.port?, other.replicas);
        (own.start < theirs.end && theirs.start < own.end).then(|| own.start.max(theirs.start))
    };
    if let Some(port) = others.iter().find_map(|other| meets(other)) {
        return Err(("port", format!("Another model's engine has the port {port}.")));
    }
    let gateway = [answers.listen.port(), answers.admin.port()].map(usize::from);
    if let Some(port) = gateway.into_iter().find(|port| own.contains(port)) {
        return Err(("port", format!("The gateway itself has the port {port}.")));
    }
    Ok(Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_models::Found;
    use crate::tui::testing;

    fn two() -> Answers {
        let model =
            |name: &str| ModelAnswers { name: name.into(), source: "org/base".into(), ..ModelAnswers::default() };
        Answers { models: vec![model("one"), model("two")], ..Answers::usual() }
    }

    #[test]
    fn names_and_ports_are_unique_and_what_is_wrong_is_told() {
        let known = Known::default();
        let mut answers = two();
        answers.models[0].port = Some(9001);
        let told = |fields: &[(&str, &str)]| {
            let mut form = form(&answers.models[1], &known);
            for (id, text) in fields {
                form.go_to(id);
                form.paste(text);
            }
            let mut answers = answers.clone();
            take(&form, &mut answers, 1, &known).map(|()| answers.models[1].clone())
        };
        assert_eq!(told(&[]), Ok(answers.models[1].clone()));
        let model = told(&[("name", "three"), ("aliases", "a, b"), ("port", "9002")]).expect("right");
        assert_eq!(
            (model.name.as_str(), model.aliases, model.port),
            ("three", vec!["a".into(), "b".into()], Some(9002))
        );
        let model = told(&[("replicas", "3"), ("port", "9002")]).expect("right");
        assert_eq!((model.replicas, model.port), (3, Some(9002)));
        for port in ["8999", "7999", "65534"] {
            assert_eq!(told(&[("replicas", "3"), ("port", port)]).expect_err(port).0, "port", "{port}");
        }
        for (id, text) in [
            ("replicas", "0"),
            ("replicas", "x"),
            ("name", "one"),
            ("name", ""),
            ("aliases", "one"),
            ("aliases", "two"),
            ("port", "9001"),
            ("port", "8001"),
            ("port", "0"),
        ] {
            assert_eq!(told(&[(id, text)]).expect_err(text).0, id, "{text}");
        }
    }

    #[test]
    fn adapters_of_the_model_are_switched_on_and_off() {
        let found = Found { adapters: vec![testing::adapter("org/sql-lora", "org/base")], ..Found::default() };
        let known = Known { local: Some(found), ..Known::default() };
        let mut answers = two();
        let mut page = form(&answers.models[0], &known);
        page.go_to(&adapter_id(0));
        page.key(ratatui::crossterm::event::KeyCode::Char(' ').into());
        take(&page, &mut answers, 0, &known).expect("right");
        assert_eq!(answers.models[0].adapters, [("sql-lora".to_owned(), "org/sql-lora".to_owned())]);
        assert!(form(&answers.models[0], &known).is_on(&adapter_id(0)));
        page.key(ratatui::crossterm::event::KeyCode::Char(' ').into());
        take(&page, &mut answers, 0, &known).expect("right");
        assert!(answers.models[0].adapters.is_empty());
    }
}
