//! A stream is looked at on its way to the caller. Frames go on in their order; one is held until all that is written in it is settled. A
//! frame in which nothing changes goes on as it came.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use shipway_dialects::{Dialect, Ends, Event, Frame, Sort, decode_text, encode_text, frame_texts, splice};
use shipway_guardrails::{TextSchema, Vault};

use super::{
    Guardrail, Verdicts,
    answer::refuse_tools,
    run::Run,
    verdict::Violation,
    whole::{Texts, WholeStream},
};
use crate::model::Side;

/// The most frames that are held; with more of them whatever is written is taken for whole.
const MOST_HELD_FRAMES: usize = 4_096;

/// The guardrails of a stream.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    dialect: Dialect,
    vault: Vault,
    verdicts: Verdicts,
    /// Texts that are being written or held, by a number.
    runs: HashMap<u64, Run>,
    next_run: u64,
    /// Which text each answer is at.
    open: HashMap<u64, (String, u64)>,
    held: VecDeque<Held>,
    /// What is looked at when all of it is there.
    whole: Option<WholeStream>,
}

/// A frame that is held.
#[derive(Debug)]
struct Held {
    bytes: Bytes,
    slots: Vec<Slot>,
}

/// A text in a frame.
#[derive(Debug)]
struct Slot {
    /// Where it stands in the data of the frame.
    place: Range<usize>,
    run: u64,
    /// Where it stands in its text.
    range: Range<usize>,
    text: String,
}

impl StreamGuard {
    /// For a stream of `dialect`; `vault` is what was taken out of its request.
    /// `wanted` is the shape that the request asks for.
    pub(crate) fn new(
        guardrails: Vec<Arc<Guardrail>>,
        dialect: Dialect,
        (vault, wanted): (Vault, Option<Arc<TextSchema>>),
    ) -> Self {
        let whole = WholeStream::new(&guardrails, dialect, wanted);
        Self {
            whole,
            dialect,
            vault,
            verdicts: Verdicts::new(Side::Output, guardrails),
            runs: HashMap::new(),
            next_run: 0,
            open: HashMap::new(),
            held: VecDeque::new(),
        }
    }

    /// Takes frames, and gives what may go on, as it goes; or a guardrail refuses, and nothing of what is held may go on.
    pub(crate) fn pass(&mut self, frames: &mut Vec<Frame>) -> Result<Bytes, Violation> {
        for frame in frames.drain(..) {
            self.look_at_the_whole(&frame);
            self.take(frame);
        }
        // What is held to its end has a bound in bytes.
        let is_whole_held = self.whole.as_ref().is_some_and(WholeStream::holds);
        if self.held.len() > MOST_HELD_FRAMES && !is_whole_held {
            self.end_all();
        }
        self.release()
    }

    /// The stream is over: gives all that is held.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Violation> {
        self.end_all();
        if let Some(whole) = &mut self.whole {
            whole.settle(&mut self.verdicts);
        }
        self.release()
    }

    /// Whether one of the guardrails asks a model.
    pub(crate) fn asks(&self) -> bool {
        self.verdicts.ask_models()
    }

    /// What another model is to be asked about before anything else goes out, and where its verdict goes.
    pub(crate) fn unjudged(&mut self) -> Option<(Texts, &mut Verdicts)> {
        let texts = self.whole.as_mut()?.take_unjudged()?;
        Some((texts, &mut self.verdicts))
    }

    /// What may go out after another model was asked.
    pub(crate) fn was_judged(&mut self) -> Result<Bytes, Violation> {
        self.release()
    }

    /// Reads what is looked at as a whole. Of a stream that breaks nothing goes out that is held for that.
    fn look_at_the_whole(&mut self, frame: &Frame) {
        let Some(whole) = &mut self.whole else { return };
        if frame.sort == Sort::Error {
            if whole.holds() {
                self.held.clear();
                self.runs.clear();
                self.open.clear();
            }
            return whole.breaks();
        }
        if whole.reads(frame) {
            whole.settle(&mut self.verdicts);
        }
    }

    /// What the guardrails said so far.
    pub(crate) fn take_verdicts(&mut self) -> Verdicts {
        let next = Verdicts::new(Side::Output, self.verdicts.guardrails().to_vec());
        std::mem::replace(&mut self.verdicts, next)
    }

    fn take(&mut self, frame: Frame) {
        let Some(data) = Event::read(&frame.bytes).data.map(Cow::into_owned) else {
            // What keeps a connection alive need not wait for a text.
            return self.held.push_back(Held { bytes: frame.bytes, slots: Vec::new() });
        };
        let texts = frame_texts(self.dialect, &data);
        refuse_tools(&mut self.verdicts, &texts.tools);
        let mut slots = Vec::new();
        for place in texts.places {
            let text = decode_text(data.get(place.range.clone()).unwrap_or_default());
            let run = match place.run {
                Some((answer, part)) => self.run_of(answer, part, place.is_json),
                None => self.new_run(place.is_json),
            };
            let is_open = self.open.values().any(|(_, open)| *open == run);
            let Some(writing) = self.runs.get_mut(&run) else { continue };
            let range = writing.push(&text);
            writing.settle(&mut self.verdicts, &mut self.vault, !is_open);
            slots.push(Slot { place: place.range, run, range, text });
        }
        match texts.ends {
            _ if frame.sort >= Sort::End => self.end_all(),
            Ends::All => self.end_all(),
            Ends::Of(answers) => answers.iter().for_each(|answer| self.end(*answer)),
            Ends::Nothing => {}
        }
        self.held.push_back(Held { bytes: frame.bytes, slots });
    }

    fn new_run(&mut self, is_json: bool) -> u64 {
        self.next_run += 1;
        self.runs.insert(self.next_run, Run::new(is_json));
        self.next_run
    }

    /// The text that an answer is at. Where it begins another one, the one before is whole.
    fn run_of(&mut self, answer: u64, part: String, is_json: bool) -> u64 {
        if let Some((open, run)) = self.open.get(&answer)
            && *open == part
        {
            return *run;
        }
        self.end(answer);
        let run = self.new_run(is_json);
        self.open.insert(answer, (part, run));
        run
    }

    fn end(&mut self, answer: u64) {
        if let Some((_, run)) = self.open.remove(&answer)
            && let Some(run) = self.runs.get_mut(&run)
        {
            run.settle(&mut self.verdicts, &mut self.vault, true);
        }
    }

    fn end_all(&mut self) {
        let answers: Vec<u64> = self.open.keys().copied().collect();
        answers.into_iter().for_each(|answer| self.end(answer));
    }

    /// The frames from the first on that are settled, back to back.
    fn release(&mut self) -> Result<Bytes, Violation> {
        if let Some(violation) = self.verdicts.violation() {
            self.held.clear();
            return Err(violation);
        }
        if self.whole.as_ref().is_some_and(WholeStream::holds) {
            return Ok(Bytes::new());
        }
        let is_settled = |slot: &Slot| self.runs.get(&slot.run).is_none_or(|run| slot.range.end <= run.upto);
        let count = self.held.iter().take_while(|held| held.slots.iter().all(is_settled)).count();
        let ready: Vec<Held> = self.held.drain(..count).collect();
        let mut out = BytesMut::new();
        for held in &ready {
            let bytes = self.changed(held);
            if ready.len() == 1 {
                return Ok(self.forget(&ready, bytes));
            }
            out.extend_from_slice(&bytes);
        }
        Ok(self.forget(&ready, out.freeze()))
    }

    /// Lets go of texts that nothing asks for any more.
    fn forget(&mut self, ready: &[Held], bytes: Bytes) -> Bytes {
        for slot in ready.iter().flat_map(|held| &held.slots) {
            let Some(run) = self.runs.get_mut(&slot.run) else { continue };
            run.forget_before(slot.range.end);
            let is_needed =
                || self.held.iter().any(|held| held.slots.iter().any(|other| other.run == slot.run));
            if run.is_over && !is_needed() {
                self.runs.remove(&slot.run);
            }
        }
        bytes
    }

    /// A frame as it goes to the caller.
    fn changed(&self, held: &Held) -> Bytes {
        let mut edits = Vec::new();
        for slot in &held.slots {
            let changed = self.runs.get(&slot.run).and_then(|run| run.changed(slot.range.start, &slot.text));
            edits.extend(changed.map(|text| (slot.place.clone(), encode_text(&text))));
        }
        if edits.is_empty() {
            return held.bytes.clone();
        }
        let event = Event::read(&held.bytes);
        match event.data {
            Some(Cow::Borrowed(data)) => {
                // The data are a part of the frame: so far behind its beginning.
                let offset = data.as_ptr() as usize - held.bytes.as_ptr() as usize;
                let moved =
                    |(range, text): (Range<usize>, String)| (range.start + offset..range.end + offset, text);
                splice(&held.bytes, edits.into_iter().map(moved).collect())
            }
            Some(Cow::Owned(data)) => written(event.name, &splice(&Bytes::from(data), edits)),
            None => held.bytes.clone(),
        }
    }
}

/// A frame of several lines of data, written anew.
fn written(name: &[u8], data: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    if !name.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\n");
    }
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"\n");
    out.freeze()
}
