//! Which GPUs can be taken, and why not.

use super::*;
use crate::gpu::{Gpu, Memory, Mig};
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
