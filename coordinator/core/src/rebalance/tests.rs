//! Plans as an operator would make them, and what must hold for every one.

use proptest::prelude::*;

use super::*;

const GIB: u64 = 1 << 30;

fn amount(cpu: u64, memory: u64, pods: u64) -> Amount {
    Amount { cpu, memory: memory * GIB, pods, volumes: 0 }
}

/// A Node of 4 cores, 8 GiB and 20 pods, without any.
fn place(name: &str) -> Place {
    Place { name: name.to_owned(), pool: 0, offered: amount(4000, 8, 20), taken: Amount::default(), receives: false }
}

fn candidate(at: usize, asks: Amount, fits: &[usize]) -> Candidate {
    Candidate {
        at: Some(at),
        asks,
        fits: fits.into(),
        late: false,
        obeys: [].into(),
        counted_by: [].into(),
        moved: false,
    }
}

/// Places that hold these candidates and nothing else; the first one receives.
fn balance(places: usize, candidates: Vec<Candidate>, rules: Vec<Rule>) -> Balance {
    let mut places: Vec<_> = (0..places).map(|at| place(&format!("w{}", at + 1))).collect();
    places[0].receives = true;
    for pod in &candidates {
        if let Some(at) = pod.at {
            places[at].taken = places[at].taken.plus(&pod.asks);
        }
    }
    Balance::new(places, candidates, rules)
}

/// How many pods each place has.
fn pods(balance: &Balance) -> Vec<u64> {
    balance.places().iter().map(|place| place.taken.pods).collect()
}

fn small() -> Amount {
    amount(250, 0, 1)
}

#[test]
fn an_empty_node_gets_its_share_from_the_fullest() {
    let crowd = |at: usize, number: usize| (0..number).map(move |_| candidate(at, small(), &[0]));
    let mut balance = balance(3, crowd(1, 8).chain(crowd(2, 4)).collect(), Vec::new());
    let moves = balance.plan(&[0], usize::MAX);
    assert_eq!(pods(&balance), [4, 4, 4]);
    assert!(moves.iter().all(|planned| (planned.from, planned.to) == (1, 0)), "{moves:?}");
    assert!(balance.has_its_share(0));
    assert_eq!(balance.plan(&[0], usize::MAX), []);
}

#[test]
fn a_node_near_the_mean_has_its_share() {
    let crowd = |at: usize, number: usize| (0..number).map(move |_| candidate(at, amount(150, 0, 0), &[0]));
    // Loads of 20% and 24% are near enough to one another, 18% and 26% are not.
    assert_eq!(balance(2, crowd(0, 16).chain(crowd(1, 19)).collect(), Vec::new()).plan(&[0], 9), []);
    assert_eq!(balance(2, crowd(0, 14).chain(crowd(1, 21)).collect(), Vec::new()).plan(&[0], 9).len(), 1);
}

#[test]
fn no_more_pods_move_than_the_operator_allows() {
    let mut balance = balance(2, (0..8).map(|_| candidate(1, small(), &[0])).collect(), Vec::new());
    assert_eq!(balance.plan(&[0], 2).len(), 2);
}

#[test]
fn a_node_takes_no_more_than_it_has_room_for() {
    let large = amount(3000, 1, 1);
    let mut full = balance(2, (0..3).map(|_| candidate(1, large, &[0])).collect(), Vec::new());
    full.places[0].taken = amount(1500, 0, 1);
    assert_eq!(full.next(0, |_| true), None);
    let mut attached =
        balance(2, (0..4).map(|_| candidate(1, Amount { volumes: 1, ..small() }, &[0])).collect(), Vec::new());
    assert_eq!(attached.next(0, |_| true), None, "no volume can be attached");
    attached.places[0].offered.volumes = 1;
    assert_eq!(attached.plan(&[0], usize::MAX).len(), 1);
}

#[test]
fn pods_that_do_not_fit_or_may_not_go_stay() {
    let pods = || (0..4).map(|at| candidate(1, small(), if at < 2 { &[] } else { &[0] })).collect();
    let mut fitting = balance(2, pods(), Vec::new());
    let moves = fitting.plan(&[0], usize::MAX);
    assert!(!moves.is_empty() && moves.iter().all(|planned| planned.candidate >= 2), "{moves:?}");
    assert_eq!(balance(2, pods(), Vec::new()).next(0, |pod| pod == 3).map(|planned| planned.candidate), Some(3));
}

#[test]
fn pods_whose_moves_take_long_move_last() {
    let mut pods: Vec<_> = (0..4).map(|_| candidate(1, small(), &[0])).collect();
    pods[0] = Candidate { late: true, asks: amount(500, 0, 1), ..candidate(1, small(), &[0]) };
    assert_eq!(balance(2, pods.clone(), Vec::new()).next(0, |_| true).map(|planned| planned.candidate), Some(1));
    assert_eq!(balance(2, pods, Vec::new()).next(0, |pod| pod == 0).map(|planned| planned.candidate), Some(0));
}

#[test]
fn of_pods_that_keep_apart_one_moves_to_each_node() {
    let apart = Rule::new(Law::Apart, [Some(0), Some(1)].into(), vec![0, 4]);
    let pod = || Candidate { obeys: [0].into(), counted_by: [0].into(), ..candidate(1, small(), &[0]) };
    let mut balance = balance(2, (0..4).map(|_| pod()).collect(), vec![apart]);
    assert_eq!(balance.plan(&[0], usize::MAX).len(), 1);
}

#[test]
fn a_pod_that_could_not_be_moved_is_where_it_was_and_one_that_went_elsewhere_counts_there() {
    let begin = balance(3, (0..6).map(|_| candidate(1, small(), &[0])).collect(), Vec::new());
    let mut after = begin.clone();
    let planned = after.next(0, |_| true).unwrap();
    after.moved(planned.candidate, Some(planned.to));
    after.stayed(planned);
    assert_eq!((pods(&after), after.next(0, |_| true)), (pods(&begin), Some(planned)));
    after.moved(planned.candidate, Some(2));
    assert_eq!(pods(&after), [0, 5, 1]);
    assert_ne!(after.next(0, |_| true).map(|planned| planned.candidate), Some(planned.candidate));
    after.moved(planned.candidate, None);
    assert_eq!(pods(&after), [0, 5, 0]);
}

#[test]
fn of_two_nodes_that_get_pods_the_fuller_one_gives_to_the_other() {
    let mut both = balance(2, (0..8).map(|_| candidate(1, small(), &[0])).collect(), Vec::new());
    both.places[1].receives = true;
    assert_eq!(both.plan(&[1, 0], usize::MAX).len(), 4);
    assert_eq!(pods(&both), [4, 4]);
}

#[test]
fn only_nodes_of_one_pool_give_to_one_another() {
    let mut places = vec![place("w1"), place("gpu1")];
    places[0].receives = true;
    places[1].pool = 1;
    places[1].taken = amount(3000, 6, 10);
    let pods = vec![candidate(1, small(), &[0])];
    assert_eq!(Balance::new(places.clone(), pods, Vec::new()).next(0, |_| true), None);
    assert_eq!(far_below(&places), [0; 0]);
    places[1].pool = 0;
    assert_eq!(far_below(&places), [0]);
}

/// Any few Nodes of different sizes, some of which receive, and pods that run on them and fit in some places.
fn any_balance() -> impl Strategy<Value = Balance> {
    let place = (1..8_u64, 1..16_u64, 1..30_u64, any::<bool>(), 0..2_usize);
    let pod = (0..6_usize, 1..2000_u64, 0..3_u64, any::<u8>(), any::<bool>(), 0..3_usize);
    (prop::collection::vec(place, 2..6), prop::collection::vec(pod, 0..40), 1..3_u64).prop_map(|(nodes, pods, skew)| {
        let mut places: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(at, (cores, memory, pods, receives, pool))| Place {
                name: format!("w{at}"),
                pool: *pool,
                offered: amount(cores * 1000, *memory, *pods),
                taken: Amount::default(),
                receives: *receives,
            })
            .collect();
        let domains: Arc<[_]> = (0..places.len()).map(Some).collect();
        let mut counts = vec![vec![0; places.len()]; 2];
        let candidates: Vec<_> = pods
            .iter()
            .map(|(at, cpu, memory, fits, late, rule)| {
                let at = at % places.len();
                let asks = amount(*cpu, *memory, 1);
                places[at].taken = places[at].taken.plus(&asks);
                let fits: Vec<_> = (0..places.len()).filter(|place| fits >> place & 1 == 1).collect();
                let rules: Vec<_> = (*rule < 2).then_some(*rule).into_iter().collect();
                rules.iter().for_each(|rule| counts[*rule][at] += 1);
                let rules: Arc<[usize]> = rules.into();
                Candidate { late: *late, obeys: Arc::clone(&rules), counted_by: rules, ..candidate(at, asks, &fits) }
            })
            .collect();
        let [apart, spread] = [Law::Apart, Law::Spread { max_skew: skew, min_domains: 0 }];
        let rules = [apart, spread].into_iter().zip(counts);
        let rules = rules.map(|(law, counts)| Rule::new(law, Arc::clone(&domains), counts)).collect();
        Balance::new(places, candidates, rules)
    })
}

proptest! {
    #[test]
    fn every_move_is_needed_fits_and_lowers_the_imbalance(before in any_balance(), most in 0..12_usize) {
        let goals: Vec<_> = (0..before.places().len()).filter(|at| before.places()[*at].receives).collect();
        let moves = before.clone().plan(&goals, most);
        prop_assert_eq!(&moves, &before.clone().plan(&goals, most), "the same again");
        let mut now = before.clone();
        for planned in &moves {
            let Move { candidate, from, to } = *planned;
            let imbalance = now.imbalance();
            prop_assert!(!now.has_its_share(to), "a move that nobody needs");
            prop_assert!(now.places()[to].receives && now.gives(from));
            prop_assert!(now.candidates()[candidate].fits.contains(&to));
            now.moved(candidate, Some(to));
            prop_assert!(now.imbalance() < imbalance);
            let Place { taken, offered, .. } = &now.places()[to];
            let within = taken.fields().iter().zip(offered.fields()).all(|(taken, offered)| *taken <= offered);
            prop_assert!(within, "more than {} offers", now.places()[to].name);
            let apart = |pods: &Candidate| pods.at == Some(to) && *pods.obeys == [0];
            let newcomers = now.candidates().iter().filter(|pod| apart(pod)).count();
            prop_assert!(*now.candidates()[candidate].obeys != [0] || newcomers == 1, "not apart");
        }
        for goal in &goals {
            prop_assert!(moves.iter().filter(|planned| planned.to == *goal).count() <= most);
        }
        let mut twice: Vec<_> = moves.iter().map(|planned| planned.candidate).collect();
        twice.sort_unstable();
        twice.dedup();
        prop_assert_eq!(twice.len(), moves.len(), "no pod moves twice");
    }
}
