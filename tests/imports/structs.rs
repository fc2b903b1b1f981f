//! Counts the fields of structs.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The structs with named fields that `text` declares, in whatever module of it, and how many fields each has.
pub(crate) fn fields(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    collect(text.parse().unwrap_or_else(|error| panic!("{error}: {text}")), &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    // The name of a struct whose body has not come.
    let (mut open, mut is_name) = (None, false);
    for token in tokens {
        match token {
            TokenTree::Ident(word) if is_name => (open, is_name) = (Some(word.to_string()), false),
            TokenTree::Ident(word) => is_name = word == "struct",
            TokenTree::Punct(mark) if mark.as_char() == ';' => open = None,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => match open.take() {
                Some(name) => found.push((name, colons(group.stream()))),
                None => collect(group.stream(), found),
            },
            _ => {}
        }
    }
}

/// Each field has one single colon of its own.
fn colons(body: TokenStream) -> usize {
    let (mut count, mut is_joint) = (0, false);
    for token in body {
        let TokenTree::Punct(mark) = token else {
            is_joint = false;
            continue;
        };
        let is_colon = mark.as_char() == ':';
        count += usize::from(is_colon && mark.spacing() == Spacing::Alone && !is_joint);
        is_joint = is_colon && mark.spacing() == Spacing::Joint;
    }
    count
}
