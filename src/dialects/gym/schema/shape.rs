//! The language of the schema tables: what a JSON value may be, and the macro that writes it down.

use serde_json::Value;

/// What a JSON value may be.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A boolean.
    Bool,
    /// `false` and nothing else.
    False,
    /// `null`.
    Null,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// An array of that.
    List(&'static Shape),
    /// An object with any members, each of them that.
    Map(&'static Shape),
    /// An object with these members, and others as the second field says.
    Object(&'static [Field], Others),
    /// One of several objects: the member of that name says which.
    By(&'static str, &'static [(&'static [&'static str], Shape)]),
    /// The first of these that fits.
    Either(&'static [Shape]),
    /// The shape that a function chooses for the value.
    Pick(Pick),
    /// The first in strict mode, the second otherwise.
    Strict(&'static Shape, &'static Shape),
}

/// Chooses the shape of a value, or says why it has none: pydantic's type of error, and its message.
pub(super) type Pick = fn(&Value) -> Result<Shape, (&'static str, String)>;

/// What happens to members that an object's table does not list.
#[derive(Clone, Copy)]
pub(super) enum Others {
    /// They are dropped, or kept if the mode says so.
    Drop,
    /// They are kept.
    Keep,
    /// They are an error, or dropped if the mode says so.
    Refuse,
}

/// One listed member of an object.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) absent: Absent,
}

/// What an absent member means.
#[derive(Clone, Copy)]
pub(super) enum Absent {
    /// An error.
    Error,
    /// It stays absent.
    Stays,
    /// It becomes `null`.
    Null,
    /// It becomes this string.
    Word(&'static str),
}

/// Declares tables: `NAME = shape;`.
///
/// | written | is |
/// |---|---|
/// | `any` `text` `int` `float` `bool` `false` `null` | the scalars |
/// | `"a"`, `("a" \| "b")` | one of these strings |
/// | `(A \| B)` | the first that fits |
/// | `[A]`, `{*: A}` | an array, an object with any members |
/// | `{ a: A, b?: B, c: C = null, d: D = "x" }` | an object: `a` is required, `b` optional, `c` and `d` have defaults |
/// | `{ …, .. }`, `{ …, ! }` | other members are kept, refused (else: dropped) |
/// | `@bundle` | the members of a bundle of token ids |
/// | `(by type "a" => A, "b" \| "c" => B)` | chosen by the string in `type` |
/// | `(pick f)`, `(strict A else B)` | chosen by a function, by the mode |
///
/// A member whose default is `null` may be `null` as well.
macro_rules! shapes {
    ($($(#[$doc:meta])* $visible:vis $name:ident = $shape:tt;)*) => {
        $($(#[$doc])* $visible const $name: Shape = shape!($shape);)*
    };
}

/// One shape of a table, see [`shapes`].
macro_rules! shape {
    (any) => { Shape::Any };
    (text) => { Shape::Text };
    (int) => { Shape::Int };
    (float) => { Shape::Float };
    (bool) => { Shape::Bool };
    (false) => { Shape::False };
    (null) => { Shape::Null };
    ($word:literal) => { Shape::Word(&[$word]) };
    (($($word:literal)|+)) => { Shape::Word(&[$($word),+]) };
    ((by $tag:ident $($($word:literal)|+ => $shape:tt),+ $(,)?)) => {
        Shape::By(stringify!($tag), &[$((&[$($word),+], shape!($shape))),+])
    };
    ((pick $function:ident)) => { Shape::Pick($function) };
    ((strict $shape:tt else $other:tt)) => { Shape::Strict(&shape!($shape), &shape!($other)) };
    (($($shape:tt)|+)) => { Shape::Either(&[$(shape!($shape)),+]) };
    ([$shape:tt]) => { Shape::List(&shape!($shape)) };
    ({*: $shape:tt}) => { Shape::Map(&shape!($shape)) };
    ({$($fields:tt)*}) => { object!([] $($fields)*) };
    ($name:ident) => { $name };
}

/// An object of a table: moves member by member into the brackets, see [`shapes`].
macro_rules! object {
    ([$($done:expr,)*]) => { Shape::Object(&[$($done),*], Others::Drop) };
    ([$($done:expr,)*] ..) => { Shape::Object(&[$($done),*], Others::Keep) };
    ([$($done:expr,)*] !) => { Shape::Object(&[$($done),*], Others::Refuse) };
    ([$($done:expr,)*] @bundle $(, $($rest:tt)*)?) => {
        object!([$($done,)*] prompt_token_ids?: [int], generation_token_ids?: [int], generation_log_probs?: [float],
            routed_experts?: (text | [[[int]]] | null) $(, $($rest)*)?)
    };
    ([$($done:expr,)*] $name:ident: $shape:tt = null $(, $($rest:tt)*)?) => {
        object!([$($done,)* field(stringify!($name), shape!(($shape | null)), Absent::Null),] $($($rest)*)?)
    };
    ([$($done:expr,)*] $name:ident: $shape:tt = $word:literal $(, $($rest:tt)*)?) => {
        object!([$($done,)* field(stringify!($name), shape!($shape), Absent::Word($word)),] $($($rest)*)?)
    };
    ([$($done:expr,)*] $name:ident: $shape:tt $(, $($rest:tt)*)?) => {
        object!([$($done,)* field(stringify!($name), shape!($shape), Absent::Error),] $($($rest)*)?)
    };
    ([$($done:expr,)*] $name:ident?: $shape:tt $(, $($rest:tt)*)?) => {
        object!([$($done,)* field(stringify!($name), shape!($shape), Absent::Stays),] $($($rest)*)?)
    };
}

pub(super) use {object, shape, shapes};

/// For [`object`].
pub(super) const fn field(name: &'static str, shape: Shape, absent: Absent) -> Field {
    Field { name, shape, absent }
}
