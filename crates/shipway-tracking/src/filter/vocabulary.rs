//! What a language of filters must say of itself: its fields, and what each may be compared with.

use super::{FilterError, Relation, Test, token::Part};

/// The fields of one language of filters.
pub(crate) trait Vocabulary {
    type Field;

    /// The field that an identifier names. `at` is its position.
    fn field(&self, parts: &[Part], at: usize) -> Result<Self::Field, FilterError>;

    /// The field in a message, such as `tag 'team'`.
    fn describe(&self, field: &Self::Field) -> String;

    /// What the field may be compared with.
    fn rules(&self, field: &Self::Field) -> Rules;

    /// Whether results may be ordered by the field.
    fn orders(&self, field: &Self::Field) -> bool;

    /// What an identifier may be, for messages.
    fn expected(&self) -> String;

    /// What was expected instead of a value that no rule forbids and that makes no sense all the same.
    fn fault(&self, _field: &Self::Field, _condition: &Condition) -> Option<String> {
        None
    }
}

/// Which operators a field takes, and with which values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// What `=` takes.
    pub(crate) equal: Values,
    /// Whether `!=` is possible where `=` is.
    pub(crate) unequal: bool,
    /// Whether `<`, `<=`, `>` and `>=` compare with a number.
    pub(crate) order: bool,
    pub(crate) like: bool,
    pub(crate) regular: bool,
    pub(crate) list: bool,
    pub(crate) null: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Values {
    #[default]
    Nothing,
    Number,
    Text,
    /// A text, or a number that is meant as one.
    TextOrNumber,
}

impl Rules {
    pub(crate) const NUMBER: Self =
        Self { equal: Values::Number, unequal: true, order: true, ..Self::NOTHING };
    pub(crate) const TEXT: Self = Self { equal: Values::Text, unequal: true, like: true, ..Self::NOTHING };
    pub(crate) const NOTHING: Self = Self {
        equal: Values::Nothing,
        unequal: false,
        order: false,
        like: false,
        regular: false,
        list: false,
        null: false,
    };

    pub(crate) fn allows(self, relation: Relation) -> bool {
        match relation {
            Relation::Equal => self.equal != Values::Nothing,
            Relation::NotEqual => self.equal != Values::Nothing && self.unequal,
            _ => self.order,
        }
    }

    /// The operators, for messages.
    pub(crate) fn operators(self) -> String {
        let relations = [
            Relation::Equal,
            Relation::NotEqual,
            Relation::Less,
            Relation::LessOrEqual,
            Relation::Greater,
            Relation::GreaterOrEqual,
        ];
        let mut words: Vec<&str> =
            relations.into_iter().filter(|one| self.allows(*one)).map(Relation::symbol).collect();
        words.extend(self.like.then_some("LIKE, ILIKE"));
        words.extend(self.regular.then_some("RLIKE"));
        words.extend(self.list.then_some("IN, NOT IN"));
        words.extend(self.null.then_some("IS NULL, IS NOT NULL"));
        if words.is_empty() { "no filter on it".to_owned() } else { format!("one of {}", words.join(", ")) }
    }
}

/// One comparison in the words of a vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause<F> {
    pub(crate) field: F,
    pub(crate) condition: Condition,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Test(Test),
    /// The text of a regular expression that is known to compile.
    Matches(String),
}

/// The text of parts of an identifier, which is the key when they follow an entity.
pub(crate) fn joined(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".")
}
