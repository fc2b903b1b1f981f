//! Which GPUs can be taken, and why not.

use super::super::fit::{Said, said_share};
use super::*;
use crate::config::ModelAnswers;
use crate::gpu::{Gpu, Inventory, Memory, Mig};
use crate::local_models::Found;
use crate::tui::machine::Profile;
use crate::tui::testing;

const GIB: u64 = 1 << 30;

fn model(name: &str, gpus: &[&str], share: Option<f64>) -> ModelAnswers {
    let gpus =
        if gpus.is_empty() { Gpus::AsVisible } else { Gpus::Listed(gpus.iter().map(|gpu| (*gpu).into()).collect()) };
    ModelAnswers { name: name.into(), source: "org/big".into(), gpus, gpu_memory: share, ..ModelAnswers::default() }
}

fn known(gpus: Vec<Gpu>) -> Known {
    let inventory = Inventory { gpus, known: true, ..Inventory::default() };
    Known { inventory: Some(inventory), ..Known::default() }
}

fn gpu(index: u32, used: u64) -> Gpu {
    let memory = Memory { total: 80 * GIB, used: used * GIB, free: (80 - used) * GIB };
    Gpu { index, uuid: Some(format!("GPU-{index}")), memory: Some(memory), ..Gpu::default() }
}

fn press(page: &mut GpuPage, keys: &str, answers: &mut Answers, known: &Known) -> (Filled, Option<String>) {
    let at = answers.models.len() - 1;
    let code = |letter| match letter {
        '⏎' => KeyCode::Enter,
        '↓' => KeyCode::Down,
        '↑' => KeyCode::Up,
        '→' => KeyCode::Right,
        '←' => KeyCode::Left,
        letter => KeyCode::Char(letter),
    };
    keys.chars().map(|letter| page.key(code(letter).into(), answers, at, known)).last().expect("keys")
}

#[test]
fn space_takes_a_gpu_and_gives_it_back() {
    let known = known(vec![gpu(0, 0), gpu(1, 0)]);
    let mut answers = Answers { models: vec![model("a", &[], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    press(&mut page, "↓ ↑ ", &mut answers, &known);
    assert_eq!(listed(&answers.models[0]), ["0", "1"]);
    press(&mut page, " ", &mut answers, &known);
    assert_eq!(listed(&answers.models[0]), ["1"]);
    press(&mut page, "↓ ", &mut answers, &known);
    assert_eq!(answers.models[0].gpus, Gpus::AsVisible);
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None));
}

#[test]
fn what_cannot_fit_is_refused_and_told() {
    let mut lost = gpu(2, 0);
    lost.lost = true;
    let mut parts = gpu(3, 0);
    let memory = Some(Memory { total: 10 * GIB, used: 0, free: 10 * GIB });
    parts.mig = Some(vec![Mig { index: 0, uuid: Some("MIG-a".into()), memory, ..Mig::default() }]);
    let known = known(vec![gpu(0, 0), gpu(1, 40), lost, parts]);
    let mut answers = Answers { models: vec![model("a", &["0"], None), model("b", &[], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    let mut told = |keys: &str| press(&mut page, keys, &mut answers, &known).1.unwrap_or_default();
    assert!(told(" ").starts_with("GPU 0: a takes 0.92, and 0.92 more is over 0.95."));
    assert!(told("↓ ").starts_with("GPU 1: other processes hold 40.0 GiB of its 80.0 GiB"));
    assert!(told("↓ ").starts_with("GPU 2 fell off the bus"));
    assert!(told("↓ ").starts_with("GPU 3 is in MIG mode"));
    assert_eq!(told("↓ "), "");
    assert_eq!(listed(&answers.models[1]), ["MIG-a"]);
}

#[test]
fn several_models_share_a_gpu_by_shares() {
    let known = known(vec![gpu(0, 0)]);
    let mut answers = Answers { models: vec![model("a", &["0"], None), model("b", &[], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    let said = press(&mut page, "=", &mut answers, &known).1.expect("said");
    assert_eq!(said, "2 models of GPU 0: a share of 0.47 for each.");
    let shares: Vec<_> = answers.models.iter().map(|model| (model.gpu_memory, listed(model).len())).collect();
    assert_eq!(shares, [(Some(0.47), 1), (Some(0.47), 1)]);
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None));
    press(&mut page, "+", &mut answers, &known);
    assert_eq!(answers.models[1].gpu_memory, Some(0.5));
    assert_eq!(press(&mut page, "⏎", &mut answers, &known).0, Filled::Going, "0.97 together");
    press(&mut page, "--", &mut answers, &known);
    assert_eq!(answers.models[1].gpu_memory, Some(0.4));
    let mut alone = Answers { models: vec![model("a", &["GPU-0"], None)], ..Answers::usual() };
    press(&mut page, "-", &mut alone, &known);
    assert_eq!(alone.models[0].gpu_memory, Some(0.9));
}

#[test]
fn models_in_turns_are_no_obstacle_to_one_another() {
    let known = known(vec![gpu(0, 0), gpu(1, 40)]);
    let mut answers = Answers { models: vec![model("a", &["0"], None), model("b", &[], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    // Turns alone do not help where the other one keeps its GPU.
    let why = press(&mut page, " ", &mut answers, &known).1.expect("refused");
    assert!(why.contains("a takes 0.92") && why.ends_with("T has all on this GPU take turns."), "{why}");
    press(&mut page, "t", &mut answers, &known);
    assert_eq!((answers.models[1].on_demand, answers.models[1].gpus.clone()), (true, Gpus::AsVisible));
    assert!(picture(&answers, &known).contains("Turns are taken only on GPUs that are chosen"));
    let said = press(&mut page, "T", &mut answers, &known).1.expect("said");
    assert_eq!(said, "2 models of GPU 0 take turns: each is loaded when a request needs it.");
    let turns: Vec<_> = answers.models.iter().map(|model| (model.on_demand, listed(model).len())).collect();
    assert_eq!(turns, [(true, 1), (true, 1)]);
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None), "0.92 each, one at a time");
    let shown = picture(&answers, &known);
    assert!(shown.contains("in turns: a 0.92") && shown.contains("In turns: it is loaded when a request"), "{shown}");
    // One that keeps it needs room beside each of those in turns.
    press(&mut page, "t", &mut answers, &known);
    let why = press(&mut page, "⏎", &mut answers, &known).1.expect("refused");
    assert!(why.starts_with("GPU 0: a takes 0.92") && why.ends_with("t has it take turns with others."), "{why}");
    press(&mut page, "t⏎", &mut answers, &known);
    // Another one is proposed the same GPU as soon as it takes turns, too.
    answers.models.push(model("c", &[], None));
    press(&mut page, "t", &mut answers, &known);
    assert_eq!(listed(&answers.models[2]), ["0"]);
    assert_eq!(press(&mut page, "=⏎", &mut answers, &known), (Filled::Done, None));
    assert_eq!(answers.models[2].gpu_memory, Some(0.95), "equal shares of one at a time");
}

#[test]
fn shares_of_those_that_keep_a_gpu_count_for_those_in_turns() {
    let known = known(vec![gpu(0, 0)]);
    let turns = |name: &str, share| ModelAnswers { on_demand: true, ..model(name, &["0"], Some(share)) };
    let of = |models: Vec<ModelAnswers>| {
        let mut answers = Answers { models, ..Answers::usual() };
        press(&mut GpuPage::default(), "⏎", &mut answers, &known).0
    };
    let kept = |share| model("kept", &["0"], Some(share));
    assert_eq!(of(vec![kept(0.3), turns("a", 0.6), turns("b", 0.65)]), Filled::Done);
    assert_eq!(of(vec![kept(0.3), turns("a", 0.6), turns("b", 0.7)]), Filled::Going, "1.00 when it is its turn");
    assert_eq!(of(vec![turns("a", 0.6), turns("b", 0.65), kept(0.3)]), Filled::Done);
    assert_eq!(of(vec![turns("a", 0.7), turns("b", 0.1), kept(0.3)]), Filled::Going, "a could never be loaded");
    let two = ModelAnswers { replicas: 2, gpus: Gpus::Listed(vec!["0".into(), "0".into()]), ..turns("a", 0.5) };
    assert_eq!(of(vec![two]), Filled::Going, "engines of one model do not take turns");
}

#[test]
fn gpus_that_are_chosen_automatically_are_had_in_turns() {
    let known = known(vec![gpu(0, 0), gpu(1, 40)]);
    let any = |name: &str| ModelAnswers { gpus: Gpus::Any(1), ..model(name, &[], None) };
    let mut answers = Answers { models: vec![any("a"), any("b")], ..Answers::usual() };
    let mut page = GpuPage::default();
    let why = press(&mut page, "⏎", &mut answers, &known).1.expect("refused");
    assert!(why.ends_with("T has all models take turns."), "{why}");
    press(&mut page, "T", &mut answers, &known);
    assert!(answers.models.iter().all(|model| model.on_demand));
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None));
    assert!(picture(&answers, &known).contains("(x)  0"));
    press(&mut page, "t", &mut answers, &known);
    let why = press(&mut page, "⏎", &mut answers, &known).1.expect("refused");
    assert!(why.ends_with("t has it take turns with others."), "{why}");
}

#[test]
fn weights_that_are_larger_than_the_share_are_refused() {
    let mut known = known(vec![gpu(0, 0), gpu(1, 0)]);
    known.local = Some(Found { models: vec![testing::local("org/big", 100 * GIB)], ..Found::default() });
    let mut answers = Answers { models: vec![model("a", &["0"], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    let (filled, why) = press(&mut page, "⏎", &mut answers, &known);
    assert_eq!(filled, Filled::Going);
    assert!(why.expect("told").starts_with("Its weights need 100.0 GiB on each GPU"));
    assert_eq!(press(&mut page, "↓ ⏎", &mut answers, &known), (Filled::Done, None));
}

#[test]
fn the_first_gpu_with_room_is_proposed() {
    let known = known(vec![gpu(0, 40), gpu(1, 0), gpu(2, 0)]);
    let mut answers = Answers { models: vec![model("a", &[], None), model("b", &[], None)], ..Answers::usual() };
    GpuPage::propose(&mut answers, 0, &known);
    GpuPage::propose(&mut answers, 1, &known);
    assert_eq!(
        (listed(&answers.models[0]), listed(&answers.models[1])),
        (&["1".to_owned()][..], &["2".to_owned()][..])
    );
    answers.models.push(model("c", &[], None));
    GpuPage::propose(&mut answers, 2, &known);
    assert_eq!(answers.models[2].gpus, Gpus::AsVisible, "none has room");
    let simulated = ModelAnswers { command: vec!["enginehouse".into(), "sim".into()], ..model("d", &[], None) };
    let mut answers = Answers { models: vec![simulated], ..Answers::usual() };
    GpuPage::propose(&mut answers, 0, &known);
    assert_eq!(answers.models[0].gpus, Gpus::AsVisible, "another server may need none");
}

#[test]
fn the_share_of_the_profile_is_taken() {
    let mut known = known(vec![gpu(0, 0)]);
    known.profiles = vec![Profile { name: "low".into(), gpu_memory: Some(0.45), ..Profile::default() }];
    let low = |name: &str| ModelAnswers { profile: Some("low".into()), ..model(name, &["0"], None) };
    let mut answers = Answers { models: vec![low("a"), low("b")], ..Answers::usual() };
    assert_eq!(press(&mut GpuPage::default(), "⏎", &mut answers, &known), (Filled::Done, None), "0.90 together");
    answers.models[1].gpu_memory = Some(0.55);
    assert_eq!(press(&mut GpuPage::default(), "⏎", &mut answers, &known).0, Filled::Going, "1.00 together");
}

/// A model of a server that is not vLLM.
fn simulated(name: &str, gpus: &[&str]) -> ModelAnswers {
    ModelAnswers { command: vec!["enginehouse".into(), "sim".into()], ..model(name, gpus, None) }
}

fn picture(answers: &Answers, known: &Known) -> String {
    let area = Rect::new(0, 0, 80, 20);
    let mut buffer = Buffer::empty(area);
    GpuPage::default().draw(answers, answers.models.len() - 1, known, area, &mut buffer, &Theme::new(true, true));
    let line = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..area.height).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn shares_are_those_that_placement_counts_with() {
    let mut known = known(vec![gpu(0, 0)]);
    let flags = |share: f64| serde_json::Map::from_iter([("gpu_memory_utilization".to_owned(), share.into())]);
    let profile = |name: &str, gpu_memory, args| Profile { name: name.into(), gpu_memory, args, ..Profile::default() };
    known.profiles = vec![profile("low", Some(0.45), flags(0.3)), profile("flag", None, flags(0.4))];
    let with = |profile: Option<&str>, args| ModelAnswers {
        profile: profile.map(str::to_owned),
        args,
        ..model("a", &["0"], None)
    };
    let none = serde_json::Map::new;
    assert_eq!(said_share(&with(None, none()), &known), (0.92, Said::Default));
    assert_eq!(said_share(&with(None, flags(0.6)), &known), (0.6, Said::Model));
    assert_eq!(said_share(&with(Some("flag"), none()), &known), (0.4, Said::Profile));
    assert_eq!(said_share(&with(Some("flag"), flags(0.6)), &known), (0.6, Said::Model), "its own flag wins");
    assert_eq!(said_share(&with(Some("low"), flags(0.6)), &known), (0.45, Said::Profile), "as in a configuration");
    assert_eq!(said_share(&simulated("a", &["0"]), &known), (0.0, Said::Unknown));
    let mut answers = Answers { models: vec![simulated("a", &["0"]), model("b", &[], None)], ..Answers::usual() };
    assert_eq!(
        press(&mut GpuPage::default(), " ⏎", &mut answers, &known),
        (Filled::Done, None),
        "nothing is known of it"
    );
    answers.models.pop();
    assert!(picture(&answers, &known).contains("How much memory a takes is not known"));
}

#[test]
fn gpus_are_chosen_automatically_with_a_count() {
    let known = known(vec![gpu(0, 42), gpu(1, 0), gpu(2, 0)]);
    let mut answers = Answers { models: vec![model("a", &["1"], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    assert!(press(&mut page, "→", &mut answers, &known).1.is_some_and(|said| said.contains("a first")));
    press(&mut page, "a", &mut answers, &known);
    assert_eq!(answers.models[0].gpus, Gpus::Any(1));
    press(&mut page, "→", &mut answers, &known);
    assert_eq!(answers.models[0].gpus, Gpus::Any(2));
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None));
    let shown = picture(&answers, &known);
    assert!(shown.contains("(–)  0") && shown.contains("(x)  1") && shown.contains("(x)  2"), "{shown}");
    assert!(shown.contains("others 42.0 GiB") && shown.contains("nobody"), "{shown}");
    press(&mut page, "→→", &mut answers, &known);
    assert_eq!(answers.models[0].gpus, Gpus::Any(3), "there are no more");
    let (filled, why) = press(&mut page, "⏎", &mut answers, &known);
    assert_eq!(filled, Filled::Going, "one of them is in use: {why:?}");
    let shown = picture(&answers, &known);
    assert!(shown.contains("model a needs 3 GPUs of one kind") && !shown.contains("now those marked"), "{shown}");
    press(&mut page, "←←←a", &mut answers, &known);
    assert_eq!(listed(&answers.models[0]), ["1"], "by hand again");
    press(&mut page, "a↓↓ ", &mut answers, &known);
    assert_eq!(listed(&answers.models[0]), ["2"], "who takes one has chosen by hand");
}

#[test]
fn a_refusal_is_seen_in_the_smallest_window() {
    let known = known(vec![gpu(0, 60), gpu(1, 60), gpu(2, 60)]);
    let mut answers = Answers { models: vec![model("a", &[], None)], ..Answers::usual() };
    let mut page = GpuPage::default();
    press(&mut page, " ", &mut answers, &known);
    let area = Rect::new(0, 0, 58, 11);
    let mut buffer = Buffer::empty(area);
    page.draw(&answers, 0, &known, area, &mut buffer, &Theme::new(true, true));
    let shown: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(shown.contains("GPU 0: other processes hold 60.0 GiB"), "{shown}");
}

#[test]
fn engines_of_one_model_share_its_gpus_evenly() {
    let known = known(vec![gpu(0, 0), gpu(1, 0), gpu(2, 0)]);
    let two = ModelAnswers { replicas: 2, ..model("a", &[], None) };
    let mut answers = Answers { models: vec![two], ..Answers::usual() };
    GpuPage::propose(&mut answers, 0, &known);
    assert_eq!(listed(&answers.models[0]), ["0", "1"]);
    let mut page = GpuPage::default();
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None));
    press(&mut page, "↓↓ ", &mut answers, &known);
    let why = press(&mut page, "⏎", &mut answers, &known).1.expect("told");
    assert!(why.starts_with("2 engines cannot share 3 GPUs evenly"), "{why}");
    press(&mut page, "a→", &mut answers, &known);
    let why = press(&mut page, "⏎", &mut answers, &known).1;
    assert!(why.is_some(), "four GPUs are needed");
    answers.models[0].gpu_memory = Some(0.45);
    assert_eq!(press(&mut page, "⏎", &mut answers, &known), (Filled::Done, None), "two engines fit on each");
}
