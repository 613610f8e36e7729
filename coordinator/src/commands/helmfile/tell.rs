//! What helmfile writes, line by line, and what usher says around it.

use crate::{
    helmfile::{State, Told},
    output::{Mark, mark},
    progress::Progress,
    text,
};

/// Shows what happens on standard error. With several services each line of helmfile's says whose it is.
pub(super) fn teller(how: Progress, services: &[String]) -> Box<dyn Fn(Told<'_>)> {
    let width = match services {
        [_] => None,
        several => several.iter().map(|service| service.chars().count()).max(),
    };
    Box::new(move |told| how.event(&told, || words(&told, width)))
}

fn words(told: &Told<'_>, width: Option<usize>) -> String {
    match told {
        Told::Began { service, command, .. } => format!("{service}: {command}"),
        Told::Line { service, text } => match width {
            Some(width) => format!("  {service:width$} | {text}").trim_end().to_owned(),
            None => format!("  {text}").trim_end().to_owned(),
        },
        Told::Ended { service, state: State::Rolled, releases } => {
            let moved: Vec<_> = releases.iter().map(ToString::to_string).collect();
            format!("{} {service}: {}", mark(Mark::Done), text::list(&moved))
        }
        Told::Ended { service, state, .. } => {
            let what = match state {
                State::Unmoved => "nothing was rolled",
                State::Unheeded => "no pod is replaced: no workload has changed",
                State::Interrupted => "stopped",
                State::TimedOut => "took too long",
                State::Unknown => "whether it was rolled is not known",
                State::Failed | State::Rolled | State::Waiting => "failed",
            };
            format!("{} {service}: {what}", mark(Mark::Failed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_whose_they_are_only_where_there_are_several() {
        let line = Told::Line { service: "web", text: "Upgrading release=web" };
        assert_eq!(words(&line, None), "  Upgrading release=web");
        assert_eq!(words(&line, Some(7)), "  web     | Upgrading release=web");
        assert_eq!(words(&Told::Line { service: "web", text: "" }, Some(3)), "  web |");
    }
}
