//! The configuration file: YAML in, a valid [`Config`] or all errors out.
//!
//! [`load`] tells the story: text to a tree, and to a value with variables expanded (`document`) → checked against the JSON
//! Schema of the raw types (`schema`, `raw`) → rules that types cannot say (`rules`) → [`Config`] (`convert`, `types`).

mod address;
mod answers;
mod command;
mod convert;
mod diagnostic;
mod document;
mod draft;
mod entry_text;
mod expanded_alias;
mod file;
mod flag_names;
mod foreign;
mod gateway_name;
mod layer;
mod layers;
mod load;
mod log_level;
mod notes;
mod overlay;
mod overruled;
mod overview;
mod path;
mod profiles;
mod raw;
mod rewrite;
mod rules;
mod schema;
mod secrets;
mod setting;
mod suggest;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod types;
mod units;
mod user_profiles;
mod words;

pub use answers::{Answers, ModelAnswers, texts};
pub use command::{SHUTDOWN_TIMEOUT, fill, flag_words, is_template, is_vllm, leaves_out};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::{SourceMap, is_variable};
pub use draft::draft;
pub use entry_text::{check_model, check_profile, entry_text, entry_yaml};
pub use file::{LARGEST_FILE, read_file, read_from};
pub use flag_names::{flag_name, flag_value};
pub use layer::Layer;
pub use layers::Layers;
pub use load::{load, parse, parse_layers, parse_with};
pub use log_level::log_level_error;
pub use notes::notes;
pub use overlay::{DisabledEntry, Merged, Overlay, OverlayEntry, entry_shown, entry_value};
pub use overview::{AliasOverview, GpusOverview, ModelOverview, Overview, alias_changes, overview};
pub use profiles::{Profile, builtin_profiles, profiles_yaml};
pub use rewrite::{Change, RewriteError, as_written, changed, rewrite};
pub use rules::is_own_header;
pub use schema::schema;
pub use secrets::is_secret;
pub use setting::Setting;
pub use types::*;
