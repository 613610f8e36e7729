use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Vec<String> {
    text.parse::<NodeSet>().unwrap().0
}

#[test]
fn a_set_is_read_as_clustershell_reads_it() {
    for (text, expected) in [
        ("w1", "w1"),
        ("w1,w2", "w1 w2"),
        ("w[1-3,5]", "w1 w2 w3 w5"),
        ("w[1-3,5],cp2", "w1 w2 w3 w5 cp2"),
        ("w[3,1]", "w3 w1"),
        ("db[08-11].example.org", "db08.example.org db09.example.org db10.example.org db11.example.org"),
        ("w[0-6/3]", "w0 w3 w6"),
        ("r[1-2]-n[1-2]", "r1-n1 r1-n2 r2-n1 r2-n2"),
        ("w[099-100]", "w099 w100"),
        ("w[99-101]", "w99 w100 w101"),
        ("node/w[1-2]", "node/w1 node/w2"),
    ] {
        assert_eq!(read(text).join(" "), expected, "{text}");
    }
}

#[test]
fn what_is_no_set_is_refused_with_the_reason() {
    for (text, why) in [
        ("", "a name is missing"),
        ("w1,,w2", "a name is missing"),
        ("w[1-3", "a ']' is missing"),
        ("w1-3]", "a '[' is missing"),
        ("w[[1]]", "within brackets"),
        ("w[]", "\"\" is no number"),
        ("w[a-c]", "\"a\" is no number"),
        ("w[3-1]", "is no range"),
        ("w[1-3/0]", "is no range"),
        ("w[8-010]", "as many digits"),
        ("w[1-999999999]", "more than 100000 names"),
        ("w[1-99999]x[1-99999]", "more than 100000 names"),
        ("w[1-99999999999999999999]", "is no number"),
    ] {
        let error = text.parse::<NodeSet>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn names_are_folded_in_their_order_and_keep_their_zeros() {
    for (names, expected) in [
        ("w1", "w1"),
        ("w1 w2", "w[1-2]"),
        ("w1 w2 w3 w5", "w[1-3,5]"),
        ("cp2 cp3 cp1", "cp[2-3,1]"),
        ("cp1 w1 w2", "cp1,w[1-2]"),
        ("db08.a db09.a db10.a", "db[08-10].a"),
        ("w9 w10", "w[9-10]"),
        ("w09 w10", "w[09-10]"),
        ("w099 w100", "w[099-100]"),
        ("w99 w0100", "w[99,0100]"),
        ("r1-n1 r1-n2 r2-n1", "r1-n[1-2],r2-n1"),
        ("a b", "a,b"),
        ("w1 w1", "w1,w1"),
    ] {
        let names: Vec<_> = names.split(' ').collect();
        assert_eq!(fold(&names), expected);
    }
}

#[test]
fn a_few_names_are_words_and_more_are_a_set() {
    assert_eq!(words(&["w1", "w2", "w3"]), "w1, w2 and w3");
    assert_eq!(words(&["w1", "w2", "w3", "w7"]), "w[1-3,7]");
}

/// Names as Nodes have them, alike enough to be folded.
fn name() -> impl Strategy<Value = String> {
    "(w|cp|db-)(0{0,2}[0-9]{1,2}|)(-n[0-3]|)(\\.a1|)".prop_filter("no name", |name| !name.is_empty())
}

proptest! {
    #[test]
    fn what_is_folded_and_expanded_is_the_same_list(names in prop::collection::vec(name(), 1..40)) {
        prop_assert_eq!(read(&fold(&names)), names);
    }

    #[test]
    fn runs_of_numbers_survive_with_their_zeros(from in 0_u64..1200, count in 1_u64..40, width in 0_usize..5) {
        let names: Vec<_> = (from..from + count).map(|number| format!("w{number:0width$}x")).collect();
        prop_assert_eq!(read(&fold(&names)), names);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-c0-9,\\[\\]/-]{0,24}") {
        let _ = text.parse::<NodeSet>();
    }
}
