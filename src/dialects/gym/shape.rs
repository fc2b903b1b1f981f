//! The language the tables of request and answer shapes are written in.

/// What a JSON value may be. Texts are read leniently where pydantic does: `"0.5"` is a number, `"true"` is a truth value.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A truth value.
    Bool,
    /// `false` and nothing else.
    False,
    /// One of these words.
    Word(&'static [&'static str]),
    /// That, or `null`.
    OrNull(&'static Shape),
    /// A list of that.
    List(&'static Shape),
    /// An object with any members, each of them that.
    Map(&'static Shape),
    /// An object with these members.
    Object(&'static Object),
    /// An object whose kind the word in the member says.
    By(&'static str, &'static [(&'static str, &'static Object)]),
    /// The first of these that fits.
    Either(&'static [Shape]),
}

/// [`Shape::Any`], to point at.
pub(super) const ANY: Shape = Shape::Any;
/// [`Shape::Int`], to point at.
pub(super) const INT: Shape = Shape::Int;
/// [`Shape::Float`], to point at.
pub(super) const FLOAT: Shape = Shape::Float;
/// [`Shape::Text`], to point at.
pub(super) const TEXT: Shape = Shape::Text;
/// [`Shape::Bool`], to point at.
pub(super) const BOOL: Shape = Shape::Bool;

/// The members of an object.
pub(super) struct Object {
    /// The known ones.
    pub(super) fields: &'static [Field],
    /// What becomes of others.
    pub(super) others: Others,
}

/// What becomes of members that no table knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They are dropped, or kept by a lenient reader.
    Drop,
    /// They are kept.
    Keep,
    /// They are a fault, or dropped by a pruning reader.
    Refuse,
}

/// One known member.
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) shape: Shape,
    /// What it is when absent.
    pub(super) absent: Absent,
}

/// What an absent member means.
#[derive(Clone, Copy)]
pub(super) enum Absent {
    /// A fault.
    Fault,
    /// It stays absent.
    Stays,
    /// It becomes `null`.
    Null,
    /// It becomes this word.
    Word(&'static str),
}

/// A member that must be there.
pub(super) const fn need(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Fault }
}

/// A member that may be there.
pub(super) const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Stays }
}

/// A member that is `null` when nobody says otherwise. Its shape allows `null` as well.
pub(super) const fn fill(name: &'static str, shape: &'static Shape) -> Field {
    Field { name, shape: Shape::OrNull(shape), absent: Absent::Null }
}

/// A member with a value of its own when absent.
pub(super) const fn or(name: &'static str, shape: Shape, absent: Absent) -> Field {
    Field { name, shape, absent }
}

/// The members of an object whose others are dropped.
pub(super) const fn object(fields: &'static [Field]) -> Object {
    Object { fields, others: Others::Drop }
}

/// The members of an object whose others are kept.
pub(super) const fn open(fields: &'static [Field]) -> Object {
    Object { fields, others: Others::Keep }
}

/// The members of an object that has no others.
pub(super) const fn closed(fields: &'static [Field]) -> Object {
    Object { fields, others: Others::Refuse }
}
