//! A configuration with as much in it as one gateway is expected to have.

use std::fmt::Write as _;

use super::Sim;

/// Simulated engines that are needed.
pub const SERVERS: usize = 4;

/// Models, each with an engine at every one of them: 64 engines in all.
pub const MODELS: usize = 16;

/// Names for them, `alias-0` and so on; each changes something.
pub const ALIASES: usize = 500;

/// The configuration (without addresses).
pub fn large(servers: &[Sim]) -> String {
    let urls: Vec<String> = servers.iter().map(Sim::url).collect();
    let mut yaml = String::from("models:\n");
    for model in 0..MODELS {
        let _ = writeln!(yaml, "  model-{model}: {{ urls: {urls:?}, served_name: tiny }}");
    }
    yaml.push_str("aliases:\n");
    for alias in 0..ALIASES {
        let _ = writeln!(
            yaml,
            "  alias-{alias}: {{ model: model-{}, defaults: {{ temperature: 0.5, top_p: 0.9 }}, limits: {{ max_tokens: 2048 }} }}",
            alias % MODELS
        );
    }
    yaml
}
