//! Who plays which role when two versions are compared.

use std::collections::BTreeSet;

use aura_protocol_core::session_type::{ALL, Arity, OPENER, SessionType};

use super::running::COUNT;

/// One arrangement: the devices of each role.
pub type Arrangement = Vec<(String, Vec<u8>)>;

/// The arrangements of a comparison: one in which the opener is everything, and where roles are
/// declared, three in which they fall to different devices, each turned by one from the one before.
#[must_use]
pub fn arrangements(old: &SessionType, new: &SessionType) -> Vec<Arrangement> {
    let declared: BTreeSet<(&str, Arity)> =
        [old, new].iter().flat_map(|it| &it.roles).map(|it| (it.name.as_str(), it.arity)).collect();
    let of = |arity| declared.iter().filter(move |it| it.1 == arity).map(|it| it.0);
    let everyone = || (0..COUNT).filter_map(|it| u8::try_from(it).ok());
    let at = |place: usize| everyone().filter(|it| usize::from(*it) == place % COUNT).collect();
    let arrange = |one: &dyn Fn(usize) -> Vec<u8>, many: &dyn Fn(usize) -> Vec<u8>| {
        let named = |(name, devices): (&str, Vec<u8>)| (name.to_owned(), devices);
        let fixed = [(OPENER, at(0)), (ALL, everyone().collect())].map(named);
        let many = of(Arity::Many).enumerate().map(|(it, name)| named((name, many(it))));
        let one = of(Arity::One).enumerate().map(|(it, name)| named((name, one(it))));
        fixed.into_iter().chain(many).chain(one).collect()
    };
    let mut all = vec![arrange(&|_| at(0), &|_| everyone().collect())];
    let several = 1 < of(Arity::Many).count();
    if several || of(Arity::One).next().is_some() {
        all.extend((0..COUNT).map(|turn| {
            let but = |place: usize| {
                let is_in = |it: &u8| usize::from(*it) != place % COUNT || !several;
                everyone().filter(is_in).collect()
            };
            arrange(&|it| at(it + turn + 1), &|it| but(it + turn))
        }));
    }
    all
}
