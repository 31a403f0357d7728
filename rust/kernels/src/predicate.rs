//! Conditions on items: compiled once, one answer for every item of a payload.
//!
//! What an expression means is told in `airis.data.expressions`.

mod compare;
mod evaluate;

use super::fields::{Level, Quick, Source};
use super::otlp::Signal;
use super::pattern::Pattern;
use super::trail::Wanted;
use compare::Set;

pub use compare::{Comparison, Literal};

/// What a source is compared with.
pub enum Operand {
    Literal(Literal),
    Source(Source),
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Empty,
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    Array,
    Map,
}

impl Type {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "empty" => Self::Empty,
            "text" => Self::Text,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "array" => Self::Array,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

/// Where a text has to stand in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Start,
    End,
    Anywhere,
}

/// What is asked of a source.
pub enum Test {
    Compare(Comparison, Operand),
    Matches(Pattern),
    OneOf(Vec<Literal>),
    Exists,
    IsType(Vec<Type>),
    HasText(Place, Box<[u8]>),
}

/// A condition on one source.
pub struct Leaf {
    pub source: Source,
    pub test: Test,
}

/// A condition, as it is written.
pub enum Expression {
    Constant(bool),
    Leaf(Box<Leaf>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Some(Level, Box<Expression>),
}

/// A compiled condition on items of one signal.
pub struct Predicate {
    signal: Signal,
    root: Node,
    sources: Vec<Slot>,
    /// What is looked for on one way through an item.
    wanted: Wanted,
    patterns: Vec<Pattern>,
    /// Answers that are kept as long as the resource, scope or metric stays the same.
    cells: usize,
}

/// A source, how it is read on the way through an item, and whether what was found is kept for another condition.
struct Slot {
    source: Source,
    quick: Option<Quick>,
    uses: usize,
}

/// A condition with places of sources and patterns in the tables of the predicate.
enum Node {
    Constant(bool),
    Literal(usize, Comparison, Literal),
    Sources(usize, Comparison, usize),
    Matches(usize, usize),
    OneOf(usize, Set),
    Exists(usize),
    IsType(usize, Vec<Type>),
    HasText(usize, Place, Box<[u8]>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Some(Level, Box<Node>),
    /// A condition on what lies above an item, and the cell for its answer.
    Above(Level, usize, Box<Node>),
}

/// What a condition depends on; in this order a change of the one is a change of all behind it.
type Scope = Option<Level>;

impl Predicate {
    /// Compile for the items of a signal, for which the sources were compiled.
    pub fn compile(signal: Signal, expression: Expression) -> Self {
        let mut predicate = Self {
            signal,
            root: Node::Constant(false),
            sources: vec![],
            wanted: Wanted::default(),
            patterns: vec![],
            cells: 0,
        };
        let (node, scope) = predicate.node(expression, &mut vec![]);
        predicate.root = predicate.kept(node, scope);
        predicate
    }

    /// The signal whose items it is about.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The node, and what it depends on. `bound` are the repeated levels of which one element is looked at.
    fn node(&mut self, expression: Expression, bound: &mut Vec<Level>) -> (Node, Scope) {
        match expression {
            Expression::Constant(value) => (Node::Constant(value), None),
            Expression::Not(inner) => {
                let (node, scope) = self.node(*inner, bound);
                match node {
                    Node::Constant(value) => (Node::Constant(!value), None),
                    Node::Not(inner) => (*inner, scope),
                    node => (Node::Not(node.into()), scope),
                }
            }
            Expression::All(inner) => self.joined(inner, bound, true),
            Expression::Any(inner) => self.joined(inner, bound, false),
            Expression::Some(level, inner) => {
                bound.push(level);
                let (node, scope) = self.node(*inner, bound);
                bound.pop();
                match node {
                    Node::Constant(false) => (node, None),
                    node => {
                        let node = self.kept(node, scope);
                        // An answer about an element counts for the whole item.
                        (Node::Some(level, node.into()), scope.max(Some(Level::Item)))
                    }
                }
            }
            Expression::Leaf(leaf) => {
                let (mut node, mut levels) = self.leaf(*leaf);
                levels.sort_unstable();
                levels.dedup();
                let scope = levels.last().copied();
                for level in levels {
                    if level.is_repeated() && !bound.contains(&level) {
                        node = Node::Some(level, node.into());
                    }
                }
                (node, scope)
            }
        }
    }

    /// All or any of several: what lies above the items first, what takes long last.
    fn joined(&mut self, inner: Vec<Expression>, bound: &mut Vec<Level>, is_all: bool) -> (Node, Scope) {
        let mut above: [Vec<Node>; 3] = Default::default();
        let mut others = vec![];
        let mut whole: Scope = None;
        for expression in inner {
            let (node, scope) = self.node(expression, bound);
            match (node, scope) {
                (Node::Constant(value), _) if value == is_all => {}
                (Node::Constant(value), _) => return (Node::Constant(value), None),
                (node, Some(level)) if level < Level::Item => above[level as usize].push(node),
                (node, _) => others.push(node),
            }
            whole = whole.max(scope);
        }
        others.sort_by_key(Node::cost);
        let join = |mut nodes: Vec<Node>| match nodes.len() {
            1 => nodes.remove(0),
            _ if is_all => Node::All(nodes),
            _ => Node::Any(nodes),
        };
        let mut nodes = vec![];
        for (level, group) in [Level::Resource, Level::Scope, Level::Metric].into_iter().zip(above) {
            if !group.is_empty() {
                let node = join(group);
                // Where all depends on the same, whoever asks keeps the answer.
                nodes.push(if whole == Some(level) { node } else { self.kept(node, Some(level)) });
            }
        }
        nodes.append(&mut others);
        match nodes.len() {
            0 => (Node::Constant(is_all), None),
            _ => (join(nodes), whole),
        }
    }

    /// Keep the answer of a condition on what lies above the items.
    fn kept(&mut self, node: Node, scope: Scope) -> Node {
        match scope {
            Some(level) if level < Level::Item => {
                self.cells += 1;
                Node::Above(level, self.cells - 1, node.into())
            }
            _ => node,
        }
    }

    /// A condition without others in it, and the levels of its sources.
    fn leaf(&mut self, leaf: Leaf) -> (Node, Vec<Level>) {
        let mut levels = vec![leaf.source.level];
        let slot = self.slot(leaf.source);
        let node = match leaf.test {
            Test::Compare(comparison, Operand::Literal(literal)) => Node::Literal(slot, comparison, literal),
            Test::Compare(comparison, Operand::Source(other)) => {
                levels.push(other.level);
                Node::Sources(slot, comparison, self.slot(other))
            }
            Test::Matches(pattern) => {
                self.patterns.push(pattern);
                Node::Matches(slot, self.patterns.len() - 1)
            }
            Test::OneOf(literals) => Node::OneOf(slot, Set::new(literals)),
            Test::Exists => Node::Exists(slot),
            Test::IsType(types) => Node::IsType(slot, types),
            Test::HasText(place, text) => Node::HasText(slot, place, text),
        };
        (node, levels)
    }

    /// The place of a source in the table; one that is asked for twice is looked up once.
    fn slot(&mut self, source: Source) -> usize {
        if let Some(place) = self.sources.iter().position(|slot| slot.source == source) {
            self.sources[place].uses += 1;
            return place;
        }
        let quick = source.quick(&mut self.wanted);
        self.sources.push(Slot { source, quick, uses: 1 });
        self.sources.len() - 1
    }
}

impl Node {
    /// How long the answer takes, roughly.
    fn cost(&self) -> u32 {
        match self {
            Self::Constant(_) | Self::Above(..) => 0,
            Self::Literal(..) | Self::Exists(_) | Self::IsType(..) => 1,
            Self::Sources(..) | Self::OneOf(..) | Self::HasText(..) => 2,
            Self::Matches(..) => 4,
            Self::Not(inner) => inner.cost(),
            Self::Some(_, inner) => inner.cost().saturating_add(4),
            Self::All(inner) | Self::Any(inner) => inner.iter().map(Self::cost).fold(0, u32::saturating_add),
        }
    }
}
