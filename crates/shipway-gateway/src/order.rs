//! In which order deployments are tried. Pure: chance, figures and the call come from outside.

use shipway_condition::Condition;

use crate::model::{Route, Stickiness};

/// What decides between deployments, beside the route.
pub(crate) trait Outlook {
    /// Whether a call of this kind can go to the one at this place at all.
    fn is_there(&self, place: usize) -> bool;
    /// Whether it is not left out because it failed.
    fn is_well(&self, place: usize) -> bool;
    /// How long a call is likely to wait for it, in microseconds; none: nobody knows, so it may be tried to find out.
    fn wait(&self, place: usize) -> Option<u64>;
    /// What the call is likely to cost there, in billionths of a dollar; none: nobody knows.
    fn cost(&self, place: usize) -> Option<i64>;
    /// Whether a condition holds for the call.
    fn holds(&self, condition: &Condition) -> bool;
    /// What keeps the call together with others, if it says so.
    fn session(&self, by: &Stickiness) -> Option<String>;
    /// A number that is the same for the same session and place, and even over all sessions.
    fn draw(&self, session: &str, place: usize) -> u64;
    /// A number below its argument, by chance.
    fn chance(&mut self, below: u64) -> u64;
}

/// A deployment that is to be tried, and why it stands where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) place: usize,
    /// The strategies that chose it, from the outermost: `condition 2, sticky by session`. Empty where the order is simply as written.
    pub(crate) why: String,
}

/// The deployments that may answer, each once, in the order in which `route` has them tried.
pub(crate) fn order(route: &Route, outlook: &mut impl Outlook) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    add(route, "", outlook, &mut candidates);
    candidates
}

fn add(route: &Route, why: &str, outlook: &mut impl Outlook, candidates: &mut Vec<Candidate>) {
    match route {
        Route::Deployment(place) => {
            let is_new = candidates.iter().all(|candidate| candidate.place != *place);
            if is_new && outlook.is_there(*place) {
                candidates.push(Candidate { place: *place, why: why.to_owned() });
            }
        }
        Route::Fallback(routes) => {
            for (index, route) in routes.iter().enumerate() {
                // Why it is a fallback for another one, the attempt before says.
                add(route, if index == 0 { why } else { "" }, outlook, candidates);
            }
        }
        Route::Weighted(routes) => {
            for (index, route) in shuffled(routes, outlook).into_iter().enumerate() {
                let own = joined(why, "by weight");
                add(route, if index == 0 { &own } else { "" }, outlook, candidates);
            }
        }
        Route::Latency(routes) => {
            let branches = branches(routes, outlook);
            put_first(by_latency(branches, outlook), &joined(why, "latency"), candidates);
        }
        Route::Cost(routes) => {
            let mut branches = branches(routes, outlook);
            // Stable: of those that cost the same, the one that is written first. What nobody knows comes last.
            branches.sort_by_key(|branch| {
                let cost = branch.first().and_then(|first| outlook.cost(first.place));
                cost.map_or((1, 0), |cost| (0, cost))
            });
            put_first(branches, &joined(why, "cost"), candidates);
        }
        Route::Conditional(when, otherwise) => {
            match when.iter().position(|(condition, _)| outlook.holds(condition)) {
                Some(index) => {
                    let own = joined(why, &format!("condition {}", index + 1));
                    add(&when[index].1, &own, outlook, candidates);
                }
                None => add(otherwise, &joined(why, "no condition"), outlook, candidates),
            }
        }
        Route::Sticky(by, routes) => {
            let mut branches = branches(routes, outlook);
            let session = outlook.session(by);
            let own = match &session {
                Some(_) => format!("sticky by {}", by.word()),
                None => format!("no {} to stick to", by.word()),
            };
            branches.sort_by_cached_key(|branch| {
                // Within a branch the order may be another one each time; the branch stays the same.
                let place = branch.iter().map(|candidate| candidate.place).min().unwrap_or_default();
                std::cmp::Reverse(match &session {
                    Some(session) => outlook.draw(session, place),
                    None => outlook.chance(u64::MAX),
                })
            });
            put_first(branches, &joined(why, &own), candidates);
        }
    }
}

fn joined(outer: &str, own: &str) -> String {
    if outer.is_empty() { own.to_owned() } else { format!("{outer}, {own}") }
}

/// Each route by itself; those that nobody of can answer are left out.
fn branches(routes: &[Route], outlook: &mut impl Outlook) -> Vec<Vec<Candidate>> {
    let ordered: Vec<Vec<Candidate>> = routes.iter().map(|route| order(route, outlook)).collect();
    ordered.into_iter().filter(|branch| !branch.is_empty()).collect()
}

/// Takes over branches in their order; the first of the first stands there because of `why`.
fn put_first(branches: Vec<Vec<Candidate>>, why: &str, candidates: &mut Vec<Candidate>) {
    for (index, candidate) in branches.into_iter().flatten().enumerate() {
        if candidates.iter().any(|other| other.place == candidate.place) {
            continue;
        }
        let why = if index == 0 { joined(why, &candidate.why) } else { candidate.why };
        let why = why.trim_end_matches(", ").to_owned();
        candidates.push(Candidate { place: candidate.place, why });
    }
}

fn shuffled<'r>(routes: &'r [(Route, u32)], outlook: &mut impl Outlook) -> Vec<&'r Route> {
    let mut left: Vec<&(Route, u32)> = routes.iter().collect();
    let mut drawn = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let sum: u64 = left.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut ticket = outlook.chance(sum.max(1));
        let taken = left.iter().position(|(_, weight)| {
            let is_it = ticket < u64::from(*weight);
            ticket = ticket.saturating_sub(u64::from(*weight));
            is_it
        });
        drawn.push(&left.remove(taken.unwrap_or_default()).0);
    }
    drawn
}

/// Two of those that are well are drawn by chance, and the one with the shorter wait is first; the others follow by their waits. Taking
/// the better of two and not the best of all keeps a crowd of calls from running after one figure that is out of date.
fn by_latency(mut branches: Vec<Vec<Candidate>>, outlook: &mut impl Outlook) -> Vec<Vec<Candidate>> {
    branches.sort_by_key(|branch| {
        branch.first().map(|first| (!outlook.is_well(first.place), outlook.wait(first.place).unwrap_or(0)))
    });
    let well = branches
        .iter()
        .filter(|branch| branch.first().is_some_and(|first| outlook.is_well(first.place)))
        .count();
    if well > 2 {
        let one = draw(well, outlook);
        let other = draw(well - 1, outlook);
        let other = if other >= one { other + 1 } else { other };
        // They are sorted by their waits: the smaller index has the shorter one.
        let taken = branches.remove(one.min(other));
        branches.insert(0, taken);
    }
    branches
}

fn draw(below: usize, outlook: &mut impl Outlook) -> usize {
    usize::try_from(outlook.chance(below as u64)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
