//! A machine's turn, and its steps.

use std::time::Duration;

use jiff::Timestamp;

/// The story keeps at most this many different waits of a step, and this many facts.
const MOST_WAITS: usize = 12;
const MOST_FACTS: usize = 60;
/// At most this many lines of a failure; a journal has more.
const MOST_DETAILS: usize = 200;
/// At most this many steps of a turn, and as many lines about what was taken back.
const MOST_STEPS: usize = 60;

/// One machine's turn.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) machine: String,
    pub(crate) component: Option<String>,
    /// When it was heard of first.
    pub(crate) began: Timestamp,
    pub(crate) ended: Option<TurnEnd>,
    pub(crate) steps: Vec<Step>,
    /// What was taken back, a line each.
    pub(crate) undone: Vec<(Timestamp, String)>,
    /// Lines that are too many to be shown.
    pub(crate) left_out: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnEnd {
    pub(crate) at: Timestamp,
    pub(crate) done: bool,
    /// As the coordinator measured it, whatever became of the wall clock.
    pub(crate) took: Duration,
}

/// One step of a turn.
#[derive(Debug)]
pub(crate) struct Step {
    /// In one word.
    pub(crate) word: String,
    pub(crate) began: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    /// The evidence.
    pub(crate) facts: Vec<(Timestamp, String)>,
    /// What it waited for, each once.
    pub(crate) waits: Vec<(Timestamp, String)>,
    /// Why it failed, and more lines about that.
    pub(crate) failure: Option<(String, Vec<String>)>,
    /// When it was heard of last.
    heard: Timestamp,
}

impl Step {
    fn begun(word: String, at: Timestamp) -> Self {
        Self { word, began: at, ended: None, facts: Vec::new(), waits: Vec::new(), failure: None, heard: at }
    }
}

impl Turn {
    /// One of which a log that begins late has no beginning.
    pub(super) fn unnamed(at: Timestamp) -> Self {
        Self {
            machine: "?".to_owned(),
            component: None,
            began: at,
            ended: None,
            steps: Vec::new(),
            undone: Vec::new(),
            left_out: 0,
        }
    }

    /// Its machine, and the component whose restart it is.
    pub(crate) fn subject(&self) -> String {
        match &self.component {
            Some(component) => format!("{} {component}", self.machine),
            None => self.machine.clone(),
        }
    }

    /// The step that failed.
    pub(crate) fn failed_step(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.failure.is_some())
    }

    pub(super) fn step_began(&mut self, at: Timestamp, word: String) {
        self.end_step(at);
        match self.steps.len() < MOST_STEPS {
            true => self.steps.push(Step::begun(word, at)),
            false => self.left_out += 1,
        }
    }

    pub(super) fn waits(&mut self, at: Timestamp, word: &str, what: String) {
        // What only counts up or down is the same wait.
        let stem = |text: &str| text.chars().filter(|char| !char.is_ascii_digit()).collect::<String>();
        let Some(step) = self.step(at, word) else { return };
        let now = stem(&what);
        if let Some((_, known)) = step.waits.iter_mut().find(|(_, known)| stem(known) == now) {
            *known = what;
            return;
        }
        match step.waits.len() < MOST_WAITS {
            true => step.waits.push((at, what)),
            false => self.left_out += 1,
        }
    }

    pub(super) fn fact(&mut self, at: Timestamp, word: &str, what: String) {
        let Some(step) = self.step(at, word) else { return };
        match step.facts.len() < MOST_FACTS {
            true => step.facts.push((at, what)),
            false => self.left_out += 1,
        }
    }

    pub(super) fn failed(&mut self, at: Timestamp, word: &str, message: String, mut details: Vec<String>) {
        let Some(step) = self.step(at, word) else { return };
        let more = details.len().saturating_sub(MOST_DETAILS);
        // The last lines of a journal say most.
        details.drain(..more);
        step.failure = Some((message, details));
        step.ended = Some(at);
        self.left_out += more;
    }

    pub(super) fn undone(&mut self, at: Timestamp, word: &str, what: &str) {
        match self.undone.len() < MOST_STEPS {
            true => self.undone.push((at, format!("{word}: {what}"))),
            false => self.left_out += 1,
        }
    }

    pub(super) fn end(&mut self, at: Timestamp, done: bool, took: f64) {
        self.end_step(at);
        let took = Duration::try_from_secs_f64(took).unwrap_or_default();
        self.ended = Some(TurnEnd { at, done, took });
    }

    /// The last step of this word. A log that begins late has no beginning of it.
    fn step(&mut self, at: Timestamp, word: &str) -> Option<&mut Step> {
        let known = self.steps.iter().rposition(|step| step.word == word);
        let index = match known {
            Some(index) => index,
            None if self.steps.len() < MOST_STEPS => {
                self.steps.push(Step::begun(word.to_owned(), at));
                self.steps.len() - 1
            }
            None => {
                self.left_out += 1;
                return None;
            }
        };
        let step = self.steps.get_mut(index)?;
        step.heard = at;
        Some(step)
    }

    /// A step has ended when the next begins. Where that waits for other machines, as after a cordon, the step's last word
    /// is its end.
    fn end_step(&mut self, at: Timestamp) {
        if let Some(step) = self.steps.last_mut().filter(|step| step.ended.is_none()) {
            step.ended = Some(if step.facts.is_empty() { at } else { step.heard });
        }
    }
}
