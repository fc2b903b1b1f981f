//! What screens are drawn with.
//!
//! `text`: others' texts without harm, and cutting. `edit`: a line that is typed. `completion`: one with suggestions.
//! `dialog`: a question. `help`: keys. `list`: what is selected. `table`: columns. `bar`: bars and curves. `panel`: a frame.
//! `scroll`: how far a text is scrolled. `pane`: a text that is scrolled.

mod bar;
mod completion;
mod dialog;
mod edit;
mod help;
mod list;
mod pane;
mod panel;
mod scroll;
mod table;
mod text;

pub use bar::{bar, sparkline};
pub use completion::Completion;
pub use dialog::{Choice, Dialog};
pub use edit::{Edit, LineEdit};
pub use help::Help;
pub use list::Selection;
pub use pane::Pane;
pub use panel::{panel, window};
pub use scroll::Scroll;
pub use table::{Column, Row, Table};
pub use text::{clean, coloured, put, width, wrap};
