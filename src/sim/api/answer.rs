//! What a simulated model says: the caller's words, the settings that arrived, then filler.

use std::borrow::Cow;

use super::params::Params;
use super::tokens;
use crate::sim::metrics::Finish;

/// Words of the question that are repeated.
const ECHOED: usize = 12;

/// What a thinking model thinks.
const THOUGHTS: [&str; 8] = ["The", " user", " wrote", " something;", " I", " repeat", " it", " now."];

/// What it says when it has nothing left to say.
const FILLER: [&str; 24] = [
    " Every",
    " engine",
    " says",
    " something,",
    " and",
    " this",
    " one",
    " says",
    " what",
    " it",
    " was",
    " told:",
    " a",
    " few",
    " words",
    " over",
    " and",
    " over,",
    " until",
    " the",
    " last",
    " token",
    " is",
    " out.",
];

/// One choice of an answer: a sequence of tokens, a word each.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    lead: Vec<String>,
    turn: usize,
    /// How many tokens at the start are thoughts.
    pub(crate) reasoning: usize,
    /// How many tokens in all, at least 1.
    pub(crate) count: usize,
    pub(crate) finish: Finish,
    /// The stop string that ended it.
    pub(crate) stop_reason: Option<String>,
}

impl Answer {
    /// The answer to `question`. `natural`: its length if nothing cuts it; `room`: most tokens there can be.
    pub(crate) fn to(
        question: &str,
        params: &Params,
        choice: usize,
        thinks: bool,
        natural: usize,
        room: usize,
    ) -> Self {
        let natural = natural.max(params.min_tokens).max(1);
        let room = room.max(1);
        let count = if params.ignore_eos && params.max_tokens.is_some() { room } else { natural.min(room) };
        let answer = Self {
            lead: lead(question, &params.mentions, choice),
            turn: choice * 5,
            reasoning: thoughts(params, thinks).min(count),
            count,
            finish: if room <= natural || count > natural { Finish::Length } else { Finish::Stop },
            stop_reason: None,
        };
        answer.stopped(&params.stop)
    }

    /// An answer that says exactly these words, perhaps after thinking.
    pub(crate) fn fixed(words: Vec<String>, params: &Params, thinks: bool, room: usize) -> Self {
        let thoughts = thoughts(params, thinks);
        let whole = thoughts + words.len();
        let count = whole.min(room).max(1);
        let finish = if count < whole { Finish::Length } else { Finish::Stop };
        let answer = Self { count, lead: words, turn: 0, reasoning: thoughts.min(count), finish, stop_reason: None };
        answer.stopped(&params.stop)
    }

    /// Given up after `made` tokens.
    pub(crate) fn abort(&mut self, made: usize) {
        if made < self.count {
            self.count = made;
            self.reasoning = self.reasoning.min(made);
            self.finish = Finish::Abort;
        }
    }

    /// Becomes what a model says whose weights are noise.
    pub(crate) fn garble(&mut self) {
        (self.lead, self.reasoning, self.stop_reason) = (vec!["!".to_owned(); self.count], 0, None);
    }

    /// Token number `at`.
    pub(crate) fn token(&self, at: usize) -> &str {
        if at < self.reasoning {
            return THOUGHTS[at % THOUGHTS.len()];
        }
        let at = at - self.reasoning;
        match self.lead.get(at) {
            Some(word) => word,
            None => FILLER[(at - self.lead.len() + self.turn) % FILLER.len()],
        }
    }

    /// Text of the tokens from `from` to before `to`.
    pub(crate) fn text(&self, from: usize, to: usize) -> String {
        (from..to.min(self.count)).map(|at| self.token(at)).collect()
    }

    /// The id of token number `at`.
    pub(crate) fn id(&self, at: usize) -> u32 {
        tokens::id(self.token(at).as_bytes())
    }

    /// The ids of all its tokens.
    pub(crate) fn ids(&self) -> Vec<u32> {
        (0..self.count).map(|at| self.id(at)).collect()
    }

    /// Ends before the first of `stops` in what is said (not in what is thought).
    fn stopped(mut self, stops: &[String]) -> Self {
        let said = self.text(self.reasoning, self.count);
        let hit = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| said.find(stop.as_str()).map(|at| (at, stop)))
            .min_by_key(|(at, _)| *at);
        let Some((mut at, stop)) = hit else { return self };
        self.finish = Finish::Stop;
        self.stop_reason = Some(stop.clone());
        let mut words: Vec<String> = Vec::new();
        for index in self.reasoning..self.count {
            let word = self.token(index);
            if at < word.len() {
                words.push(word[..at].to_owned());
                break;
            }
            at -= word.len();
            words.push(word.to_owned());
        }
        self.count = self.reasoning + words.len();
        self.lead = words;
        self
    }
}

/// How many tokens of an answer are thoughts, at most.
fn thoughts(params: &Params, thinks: bool) -> usize {
    if thinks && params.thinking != Some(false) { THOUGHTS.len() } else { 0 }
}

fn lead(question: &str, mentions: &[String], choice: usize) -> Vec<String> {
    let mut words = question.split_whitespace();
    let mut echo: Vec<Cow<'_, str>> = words.by_ref().take(ECHOED).map(Into::into).collect();
    if words.next().is_some() {
        echo.push("…".into());
    }
    let first = if choice == 0 { "You".to_owned() } else { format!("[{choice}] You") };
    let mut lead = vec![first];
    if echo.is_empty() {
        lead.push(" said nothing".into());
    } else {
        lead.push(" said:".into());
        lead.extend(echo.iter().map(|word| format!(" {word}")));
    }
    let last = mentions.len().saturating_sub(1);
    lead.extend(mentions.iter().enumerate().map(|(at, mention)| {
        let (open, close) = (if at == 0 { " (" } else { " " }, if at == last { ")" } else { "," });
        format!("{open}{mention}{close}")
    }));
    if let Some(word) = lead.last_mut() {
        word.push('.');
    }
    lead
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params {
            n: 1,
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            stop: Vec::new(),
            stream: false,
            include_usage: false,
            continuous_usage: false,
            token_ids: false,
            prompt_logprobs: false,
            thinking: None,
            mentions: vec!["temperature=0.6".into(), "seed=1".into()],
        }
    }

    #[test]
    fn it_repeats_the_question_and_the_settings() {
        let answer = Answer::to("Hello there", &params(), 0, false, 8, 100);
        assert_eq!(answer.text(0, 8), "You said: Hello there (temperature=0.6, seed=1). Every engine");
        assert_eq!((answer.count, answer.finish), (8, Finish::Stop));
    }

    #[test]
    fn length_is_bounded_by_the_room_and_raised_by_ignore_eos() {
        let short = Answer::to("x", &params(), 0, false, 8, 3);
        assert_eq!((short.count, short.finish), (3, Finish::Length));
        let asked = Params { ignore_eos: true, max_tokens: Some(50), ..params() };
        let long = Answer::to("x", &asked, 0, false, 8, 50);
        assert_eq!((long.count, long.finish), (50, Finish::Length));
    }

    #[test]
    fn stop_strings_cut_inside_a_word() {
        let asked = Params { stop: vec!["er".into()], ..params() };
        let answer = Answer::to("Hello there", &asked, 0, false, 8, 100);
        assert_eq!(answer.text(0, 9), "You said: Hello th");
        assert_eq!((answer.count, answer.stop_reason.as_deref()), (4, Some("er")));
    }

    #[test]
    fn thinking_comes_first_unless_switched_off() {
        let thinking = Answer::to("Hi", &params(), 0, true, 12, 100);
        assert_eq!(thinking.reasoning, 8);
        assert!(thinking.text(0, 8).starts_with("The user") && thinking.text(8, 12).starts_with("You said"));
        let off = Params { thinking: Some(false), ..params() };
        assert_eq!(Answer::to("Hi", &off, 0, true, 12, 100).reasoning, 0);
    }
}
