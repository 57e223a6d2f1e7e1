//! Queries as the engine takes them.

use super::place::Place;
use crate::matcher::Matcher;

#[derive(Clone, Debug)]
pub enum Node {
    Number(f64),
    String(String),
    Selector(Selector),
    /// A selector's samples over a range, ns.
    Range(Selector, i64),
    Subquery(Box<Subquery>),
    Call(Call),
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    /// Minus.
    Negate(Box<Node>),
    Paren(Box<Node>),
}

#[derive(Clone, Debug)]
pub struct Selector {
    /// One for the name, if it has one, included.
    pub matchers: Vec<Matcher>,
    pub shift: Shift,
    pub extension: Option<Extension>,
}

/// What becomes of the ends of a range, at which there are no samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `anchored`: the value is that of the sample before.
    Anchored,
    /// `smoothed`: it lies between those of the samples before and after.
    Smoothed,
}

/// `offset` and `@`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shift {
    /// ns
    pub offset: i64,
    pub at: Option<At>,
}

#[derive(Clone, Copy, Debug)]
pub enum At {
    /// ns since the epoch
    Time(i64),
    Start,
    End,
}

#[derive(Clone, Debug)]
pub struct Subquery {
    pub inner: Node,
    /// ns
    pub range: i64,
    /// ns; None: the default.
    pub step: Option<i64>,
    pub shift: Shift,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub function: &'static str,
    pub args: Vec<Node>,
    pub place: Option<Place>,
    /// Where the arguments begin.
    pub arg_places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// Whether it takes something besides the vector.
    pub fn has_param(self) -> bool {
        use AggregateOp::*;
        matches!(self, Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio)
    }
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub op: AggregateOp,
    pub inner: Node,
    pub param: Option<Node>,
    /// Labels, and whether these are the ones to leave out.
    pub grouping: Vec<String>,
    pub without: bool,
    pub inner_place: Option<Place>,
    pub param_place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    And,
    Or,
    Unless,
    /// `</`: the observations of a histogram up to a number.
    TrimUpper,
    /// `>/`: those above it.
    TrimLower,
}

impl BinaryOp {
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NotEqual | Greater | Less | GreaterOrEqual | LessOrEqual)
    }

    pub fn is_trim(self) -> bool {
        matches!(self, Self::TrimUpper | Self::TrimLower)
    }

    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

#[derive(Clone, Debug)]
pub struct Binary {
    pub op: BinaryOp,
    pub lhs: Node,
    pub rhs: Node,
    pub return_bool: bool,
    pub matching: Matching,
    pub place: Option<Place>,
}

#[derive(Clone, Debug)]
pub struct Matching {
    /// `on`, not `ignoring`.
    pub on: bool,
    pub labels: Vec<String>,
    pub cardinality: Cardinality,
    /// The labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// What stands for a series that has no partner.
    pub fill_lhs: Option<f64>,
    pub fill_rhs: Option<f64>,
}

/// Whether something can be the name of a label: not empty, and UTF-8.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\u{fffd}')
}
