//! Directives that give names: `.const`, `.reg`, `.place`, and tensors' names.

use std::ops::Range;
use std::rc::Rc;

use super::reader::{Done, Problem, Reader};
use crate::isa::{Line, Memory, NameError, Place, Scalar, Value};
use crate::program::Tensor;

/// Bytes that places and tensors without an address begin at multiples of.
pub(super) const ALIGNMENT: u64 = 64;

const CONST: &str = "write `.const NAME = NUMBER`; NUMBER may use names before it";
const REG: &str = "write `.reg NAME = REGISTER`, a register of s0 to s31, x0 to x15, c0 to c7 or m0 to m7";
const PLACE: &str = "write `.place NAME = MEMORY bytes=NUMBER`, or `MEMORY[OFFSET]` to say where in it";

impl Reader<'_> {
    /// `.const`, `.reg` or `.place`: `rest` is what stands behind it, from byte `start` of the text on.
    ///
    /// A name whose meaning is refused is a name all the same, so that its uses are no errors of their own.
    pub(super) fn name(&mut self, directive: &str, rest: &str, start: usize) -> Done {
        let hint = match directive {
            "const" => CONST,
            "reg" => REG,
            _ => PLACE,
        };
        let at = |span: Range<usize>| start + span.start..start + span.end;
        let mut line = Line::new(rest, self.scope()).map_err(|e| Problem::of(e, start))?;
        let first = at(line.span());
        let Some((name, span)) = line.word() else {
            return Err(Problem::new(first, "a name is missing here", hint));
        };
        let span = at(span);
        let value = match line.take("=") {
            false => Err(Problem::new(at(line.span()), "`=` is missing", hint)),
            true => self.meaning(directive, &mut line, start, hint),
        };
        let value = value.and_then(|value| {
            line.end(hint).map_err(|e| Problem::of(e, start))?;
            Ok(value)
        });
        let (value, problem) = match value {
            Ok(value) => (value, None),
            Err(problem) => (Value::Refused, Some(problem)),
        };
        if let Value::Place(place) = &value {
            self.remember(place);
        }
        self.give(&name, value, span)?;
        problem.map_or(Ok(()), Err)
    }

    /// Gives a name to the lines that follow: of the macro, where one is being written out.
    fn give(&mut self, name: &str, value: Value, span: Range<usize>) -> Done {
        let names = match self.expansions.last_mut() {
            Some(expansion) => &mut expansion.names,
            None => &mut self.names,
        };
        names.define(name, value, span.clone()).map_err(|e| self.name_problem(name, e, span))
    }

    pub(super) fn name_problem(&self, name: &str, error: NameError, span: Range<usize>) -> Problem {
        let (message, hint) = match error {
            NameError::Malformed => {
                (format!("`{name}` can be no name"), "a name is letters, digits, `_` and `.`".to_owned())
            }
            NameError::Reserved(what) => {
                (format!("`{name}` is {what} already"), "choose another name".to_owned())
            }
            NameError::Twice(before) => (
                format!("`{name}` is a name already"),
                format!("it was given in {}; rename one of them", self.line_of(&before)),
            ),
        };
        Problem::new(span, message, hint)
    }

    fn meaning(
        &self,
        directive: &str,
        line: &mut Line<'_>,
        start: usize,
        hint: &'static str,
    ) -> Result<Value, Problem> {
        let (value, span) = line.value().map_err(|e| Problem::of(e, start))?;
        let refuse = |message: &str| Err(Problem::new(start + span.start..start + span.end, message, hint));
        match (directive, value) {
            ("const", value) => {
                line.as_number(value, &span).map(Value::Number).map_err(|e| Problem::of(e, start))
            }
            ("reg", Value::Register(letter, n)) if exists(letter, n) => Ok(Value::Register(letter, n)),
            ("reg", _) => refuse("this is no register"),
            (_, value) => {
                let (memory, at) = match &value {
                    Value::Place(place) => (place.memory, Some(place)),
                    Value::Word(word) => match Memory::ALL.into_iter().find(|m| m.name() == word) {
                        Some(Memory::Dram) => return refuse("places in DRAM are tensors: use `.tensor`"),
                        Some(memory) => (memory, None),
                        None => {
                            return Err(Problem::of(line.no_place(word, span.clone()), start));
                        }
                    },
                    _ => return refuse("this is no place"),
                };
                let bytes = self.place_bytes(line, start)?;
                let offset = match at {
                    Some(place) => place.offset,
                    None => self.behind[memory.index()].next_multiple_of(ALIGNMENT).into(),
                };
                let base = at.map_or(Scalar(0), |place| place.base);
                Ok(Value::Place(Place { memory, base, offset, bytes: Some(bytes), tensor: None }))
            }
        }
    }

    /// `bytes=NUMBER`, 1 to 2^40.
    fn place_bytes(&self, line: &mut Line<'_>, start: usize) -> Result<u64, Problem> {
        let at = line.span();
        let refuse = |span: Range<usize>, message: &str| {
            Err(Problem::new(start + span.start..start + span.end, message, PLACE))
        };
        match line.word() {
            Some((word, _)) if word == "bytes" && line.take("=") => {}
            _ => return refuse(at, "`bytes=NUMBER` is missing"),
        }
        let of = |e| Problem::of(e, start);
        let (value, span) = line.value().map_err(of)?;
        let bytes = line.as_number(value, &span).map_err(of)?;
        match u64::try_from(bytes).ok().filter(|&n| (1..=1 << 40).contains(&n)) {
            Some(bytes) => Ok(bytes),
            None => refuse(span, "a place holds 1 to 2^40 bytes"),
        }
    }

    /// Places that follow lie behind this one.
    fn remember(&mut self, place: &Place) {
        let end = place.offset.saturating_add(place.bytes.unwrap_or(0).into());
        let behind = &mut self.behind[place.memory.index()];
        if let Ok(end) = u64::try_from(end) {
            // Beyond 2^41 no address reaches.
            *behind = (*behind).max(end.min(1 << 41));
        }
    }

    /// A tensor's name is its place. A name that means something else, or that no word can be, is only the host's.
    pub(super) fn name_tensor(&mut self, tensor: &Tensor, span: Range<usize>) -> Done {
        let place = Place {
            memory: Memory::Dram,
            base: Scalar(0),
            offset: tensor.address.into(),
            bytes: Some(tensor.bytes()),
            tensor: Some(Rc::new((tensor.format.bits(), tensor.shape.clone()))),
        };
        match self.names.define(&tensor.name, Value::Place(place), span.clone()) {
            Err(e @ NameError::Twice(_)) => Err(self.name_problem(&tensor.name, e, span)),
            _ => Ok(()),
        }
    }
}

/// Whether a register is there.
fn exists(letter: char, n: u32) -> bool {
    use crate::isa::{Counter, ModeIndex, Scale};
    let count = match letter {
        Scalar::LETTER => Scalar::COUNT,
        Scale::LETTER => Scale::COUNT,
        Counter::LETTER => Counter::COUNT,
        ModeIndex::LETTER => ModeIndex::COUNT,
        _ => 0,
    };
    n < count.into()
}
