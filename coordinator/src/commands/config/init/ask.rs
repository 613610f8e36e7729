//! What cannot be seen is asked, with what is probably meant. Where nobody can be asked, that is taken.

use usher_core::draft::{Answers, Question, Seen, name, questions};

use crate::site::AgentAccess;

/// Asks through `ask`, which answers None where nobody can be asked. `named` is the name that a flag gives.
pub(super) fn answers(seen: &Seen, named: Option<&str>, ask: &mut dyn FnMut(&str) -> Option<String>) -> Answers {
    let plain = AgentAccess::default();
    let has_certificate = plain.certificate.exists();
    let mut answers = Answers {
        name: named.or(name(seen)).map_or_else(|| fallback(seen), str::to_owned),
        certificate: plain.certificate.display().to_string(),
        key: plain.key.display().to_string(),
        ca: plain.ca.display().to_string(),
        ..Answers::default()
    };
    let mut asked = |prompt: String, assumed: &str| {
        let brackets = if assumed.is_empty() { String::new() } else { format!(" [{assumed}]") };
        ask(&format!("{prompt}{brackets}: ")).filter(|answer| !answer.is_empty()).unwrap_or_else(|| assumed.to_owned())
    };
    for question in questions(seen, has_certificate) {
        match question {
            Question::Name if named.is_some() => {}
            Question::Name => answers.name = asked("What is this cluster called?".to_owned(), &answers.name),
            Question::Certificate => {
                answers.certificate = asked("Your certificate for the agents, PEM".to_owned(), &answers.certificate);
                answers.key =
                    asked("Its key, PEM".to_owned(), &key_beside(&answers.certificate).unwrap_or(answers.key));
                answers.ca = asked("The CA of the agents, PEM".to_owned(), &answers.ca);
            }
            Question::Pool => {
                let what = "Command that takes an apiserver out of the load balancer's pool, with {node} or {address} (empty: none)";
                answers.depool = words(&asked(what.to_owned(), ""));
                if !answers.depool.is_empty() {
                    answers.pool = words(&asked("Command that puts it back".to_owned(), ""));
                }
            }
        }
    }
    answers
}

/// A name made of the server's: `k8s.example` of `https://k8s.example:6443`.
fn fallback(seen: &Seen) -> String {
    let place = seen.server.split_once("://").map_or(seen.server.as_str(), |(_, place)| place);
    let host = place.split(['/', ':']).next().unwrap_or_default();
    if host.is_empty() || host.starts_with('[') { "cluster".to_owned() } else { host.to_owned() }
}

/// `x-key.pem` beside `x.pem`, as `usher certificates` names them.
fn key_beside(certificate: &str) -> Option<String> {
    certificate.strip_suffix(".pem").map(|stem| format!("{stem}-key.pem"))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use usher_core::draft::ApiServerSeen;

    use super::*;

    fn seen(cluster: &str) -> Seen {
        let server = |host: &str| ApiServerSeen { host: host.into(), port: 6443, names: Vec::new() };
        Seen {
            cluster: Some(cluster.into()),
            server: "https://k8s.example:6443".into(),
            apiservers: vec![server("10.0.0.1"), server("10.0.0.2")],
            ..Seen::default()
        }
    }

    #[test]
    fn nothing_is_asked_where_nobody_answers_and_what_is_probably_meant_is_taken() {
        let answers = answers(&seen("kubernetes"), None, &mut |_| None);
        assert_eq!((answers.name.as_str(), answers.key.as_str()), ("k8s.example", "/etc/usher/client-key.pem"));
        assert!(answers.depool.is_empty() && answers.pool.is_empty());
    }

    #[test]
    fn what_is_answered_is_taken_and_an_empty_answer_takes_what_is_offered() {
        let mut prompts = Vec::new();
        let mut replies =
            ["eqiad", "/home/ann/ann.pem", "", "/home/ann/ca.pem", "lb drain {node}", "lb ready {node}"].into_iter();
        let answers = answers(&seen("kubernetes"), None, &mut |prompt| {
            prompts.push(prompt.to_owned());
            replies.next().map(str::to_owned)
        });
        assert_eq!(prompts[0], "What is this cluster called? [k8s.example]: ");
        assert_eq!(prompts[2], "Its key, PEM [/home/ann/ann-key.pem]: ");
        assert_eq!(answers.name, "eqiad");
        assert_eq!((answers.key.as_str(), answers.ca.as_str()), ("/home/ann/ann-key.pem", "/home/ann/ca.pem"));
        assert_eq!((answers.depool, answers.pool), (words("lb drain {node}"), words("lb ready {node}")));
    }

    #[test]
    fn a_name_that_is_known_or_given_is_not_asked_for() {
        let no_name = |prompt: &str| {
            assert!(!prompt.contains("called"), "{prompt}");
            None
        };
        assert_eq!(answers(&seen("eqiad"), None, &mut |prompt| no_name(prompt)).name, "eqiad");
        assert_eq!(answers(&seen("kubernetes"), Some("codfw"), &mut |prompt| no_name(prompt)).name, "codfw");
    }
}
