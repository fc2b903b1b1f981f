//! What the page of a model's GPUs says below them: what is chosen, and what that means.

use crate::config::{Gpus, ModelAnswers, is_vllm};
use crate::placement::LARGEST_SHARE;
use crate::tui::widgets::clean;
use crate::tui::wizard::fit::{Said, each, said_share};
use crate::tui::wizard::known::Known;

/// What is chosen, and what that means. `why`: why automatic choice finds no place now.
pub(super) fn told(model: &ModelAnswers, why: Option<&str>, known: &Known) -> Vec<String> {
    let name = clean(&model.name);
    let engines =
        if model.replicas == 1 { "its engine".to_owned() } else { format!("each of its {} engines", model.replicas) };
    let spread = match each(model) {
        each if each < 2 || !is_vllm(&model.command) => String::new(),
        each => format!(" With {each} GPUs {engines} uses tensor parallelism."),
    };
    let chosen = match &model.gpus {
        Gpus::Any(count) => format!(
            "Automatic: {engines} gets {} when it starts, where there is room: {}. ← → changes how many, a chooses by \
             hand.{spread}",
            gpus(*count),
            why.map_or_else(
                || "now those marked (x)".to_owned(),
                |why| format!("now nowhere ({})", why.trim_end_matches('.'))
            ),
        ),
        Gpus::Listed(_) => format!("Chosen by hand; a has them chosen automatically.{spread}"),
        Gpus::AsVisible => {
            let turns = if model.on_demand { " Turns are taken only on GPUs that are chosen." } else { "" };
            format!("None is chosen: {engines} sees all GPUs. Space takes one, a has them chosen automatically.{turns}")
        }
    };
    let (share, said) = said_share(model, known);
    let own = match said {
        Said::Model => "",
        Said::Profile => ", as its profile says",
        Said::Default if !is_vllm(&model.command) => ", which is reserved where nothing else is said",
        Said::Default | Said::Unknown => ", as vLLM has it by default",
    };
    let share = match said {
        Said::Unknown => format!("How much memory {name} takes is not known: it is not vLLM. + and - say a share."),
        _ => format!("{name} takes a share of {share:.2} of each GPU's memory{own}."),
    };
    let load = if model.on_demand {
        "In turns: it is loaded when a request needs it, and gives its GPUs to another model in turns that is needed. t has it keep \
         them."
    } else {
        "It keeps its GPUs. t has it loaded when a request needs it, in turns with others that are."
    };
    let several = format!(
        "Several models can be on one GPU: by shares of at most {LARGEST_SHARE} together, or in turns (T: all models of the marked GPU)."
    );
    vec![chosen, share, load.to_owned(), several]
}

fn gpus(count: usize) -> String {
    if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") }
}
