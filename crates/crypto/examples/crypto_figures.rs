//! What the protocols cost one device, beside what their group operations alone would cost.
//!
//! `cargo run --release -p aura-crypto --example crypto_figures` prints one JSON object on its last line.
//! A floor is the sum of the unavoidable group operations, each measured in the same run; a goal is a
//! ratio to the floor (`"goal_of":"ratio"`) or a duration (`"goal_of":"value"`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    dead_code,
    reason = "a program that measures; the groups are those of the tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    time::{Duration, Instant},
};

use aura_crypto::{
    Context, Derivation, Domain, Holders, SecretKey, SessionKey, ShareIndex, Signing, Suite, dkd,
    dkg,
    reshare::{self, Inbox},
    sign::{self, NonceId, SigningTask},
};
use curve25519_dalek::{
    EdwardsPoint, Scalar, edwards::CompressedEdwardsY, traits::VartimeMultiscalarMul as _,
};
use serde_json::{Value, json};

#[path = "../tests/it/world.rs"]
mod world;

use world::{account, context, indices, members, request, rng, session};

/// Processor time of this thread so far, where the system tells it (Linux); else the time of day. On a
/// machine that is shared, only the former says what a run costs.
fn processor_time(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|it| it.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// What one run costs on average over many, in milliseconds.
fn cost<T>(budget: Duration, mut run: impl FnMut() -> T) -> f64 {
    cost_of(budget, || (), |()| run())
}

/// The same, where each run needs something prepared that is not measured.
fn cost_of<P, T>(
    budget: Duration,
    mut prepare: impl FnMut() -> P,
    mut run: impl FnMut(P) -> T,
) -> f64 {
    let begin = Instant::now();
    black_box(run(prepare()));
    let runs = budget.as_secs_f64() / begin.elapsed().as_secs_f64();
    let runs = runs.clamp(8.0, 20_000.0) as usize;
    let prepared: Vec<P> = (0..runs).map(|_| prepare()).collect();
    let start = processor_time(begin);
    for it in prepared {
        black_box(run(it));
    }
    (processor_time(begin) - start).as_secs_f64() * 1e3 / runs as f64
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_millis(1500);

/// What a group operation costs on this machine, in milliseconds.
struct Primitives {
    base: f64,
    double: f64,
    variable: f64,
    decompress: f64,
    verify: f64,
    seal: f64,
    open: f64,
}

impl Primitives {
    fn measure() -> Self {
        let mut rng = rng(1);
        let mut scalar = || Scalar::from_bytes_mod_order_wide(&rng.bytes());
        let (a, b) = (scalar(), scalar());
        let point = EdwardsPoint::mul_base(&a);
        let encoded = point.compress();
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let message = context().frame(&[1; 200]);
        let signature = ed25519_dalek::Signer::sign(&key, &message);
        let public = key.verifying_key();
        let (seal, open) = hpke_costs();
        Self {
            base: cost(SHORT, || EdwardsPoint::mul_base(&a)),
            double: cost(SHORT, || {
                EdwardsPoint::vartime_double_scalar_mul_basepoint(&a, &point, &b)
            }),
            variable: cost(SHORT, || point * a),
            decompress: cost(SHORT, || CompressedEdwardsY(encoded.to_bytes()).decompress()),
            verify: cost(SHORT, || public.verify_strict(&message, &signature).unwrap()),
            seal,
            open,
        }
    }

    fn sum(&self, points: usize) -> f64 {
        let mut rng = rng(2);
        let scalars: Vec<Scalar> =
            (0..points).map(|_| Scalar::from_bytes_mod_order_wide(&rng.bytes())).collect();
        let points: Vec<EdwardsPoint> = scalars.iter().map(EdwardsPoint::mul_base).collect();
        cost(SHORT, || EdwardsPoint::vartime_multiscalar_mul(&scalars, &points))
    }
}

fn hpke_costs() -> (f64, f64) {
    use hpke::{
        Kem as _, OpModeR, OpModeS, aead::ChaCha20Poly1305, kdf::HkdfSha256,
        kem::X25519HkdfSha256 as Kem,
    };
    let mut rng = rng(3);
    let (secret, public) = Kem::derive_keypair(&[1; 32]);
    let mut seal = || {
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &public,
            b"info",
            &[1; 32],
            b"aad",
            &mut rng,
        )
        .unwrap()
    };
    let (key, sealed) = seal();
    let seal = cost(SHORT, seal);
    let open = cost(SHORT, || {
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &key,
            b"info",
            &sealed,
            b"aad",
        )
        .unwrap()
    });
    (seal, open)
}

enum Goal {
    Ratio(f64),
    Milliseconds(f64),
    None,
}

fn row(name: &str, value: f64, floor: f64, goal: &Goal) -> Value {
    let ratio = value / floor;
    let (goal, of, met) = match goal {
        Goal::Ratio(goal) => (json!(goal), json!("ratio"), json!(ratio <= *goal)),
        Goal::Milliseconds(goal) => (json!(goal), json!("value"), json!(value <= *goal)),
        Goal::None => (Value::Null, Value::Null, Value::Null),
    };
    eprintln!("{name:<36} {value:>9.4} ms  {ratio:>6.2} x floor  met: {met}");
    let round = |it: f64| (it * 1e5).round() / 1e5;
    json!({
        "name": name, "value": round(value), "unit": "ms", "floor": round(floor),
        "ratio": round(ratio), "goal": goal, "goal_of": of, "met": met,
    })
}

fn strict_verify(costs: &Primitives) -> Value {
    let key = SecretKey::from_seed([7; 32]);
    let body = [1; 200];
    let signature = key.sign(&context(), &body);
    let public = key.public();
    let value = cost(LONG, || public.verify(&context(), &body, &signature).unwrap());
    row("strict_verify", value, costs.verify, &Goal::Ratio(1.15))
}

/// What all signers and the aggregator do, together.
fn signing(costs: &Primitives, threshold: u16, count: u16) -> Value {
    let mut rng = rng(4);
    let group = world::generate::<Signing>(threshold, &indices(1..=count), &mut rng);
    let quorum = group.quorum();
    let value = cost(LONG, || world::sign(&group, &quorum, &context(), b"body", &mut rng));
    let t = f64::from(threshold);
    // Each signer makes two points; each signer and the aggregator computes the group's nonce.
    let floor =
        2.0 * t * costs.base + (t + 1.0) * costs.sum(2 * usize::from(threshold)) + costs.verify;
    row(&format!("sign_all_{threshold}_of_{count}"), value, floor, &Goal::None)
}

/// What one device does that signs and aggregates, and its parts.
fn signing_rounds(threshold: u16, count: u16, costs: &Primitives, goal: &Goal) -> [Value; 4] {
    let mut own = rng(5);
    let group = world::generate::<Signing>(threshold, &indices(1..=count), &mut own);
    let quorum = group.quorum();
    let first = &group.shares[&quorum[0]];
    let mut commit =
        |it: &ShareIndex| sign::commit(&group.shares[it], &group.sharing, &mut own).unwrap();
    let one = cost(SHORT, || commit(&quorum[0]));
    let prepare = |commit: &mut dyn FnMut(&ShareIndex) -> (sign::Nonces, sign::NonceCommitment)| {
        let (nonces, commitments): (Vec<_>, Vec<_>) = quorum.iter().map(commit).unzip();
        let task =
            SigningTask::new(&context(), b"body".to_vec(), &group.sharing, commitments).unwrap();
        (nonces, task)
    };
    let two = cost_of(
        SHORT,
        || {
            let (mut nonces, task) = prepare(&mut commit);
            (nonces.remove(0), task)
        },
        |(nonces, task)| {
            let mut spent: BTreeSet<NonceId> = BTreeSet::new();
            nonces.sign(&task, &context(), first, &group.sharing, &mut spent).unwrap()
        },
    );
    let (nonces, task) = prepare(&mut commit);
    let mut spent: BTreeSet<NonceId> = BTreeSet::new();
    let shares: BTreeMap<_, _> = nonces
        .into_iter()
        .zip(&quorum)
        .map(|(nonces, it)| {
            let share = &group.shares[it];
            (*it, nonces.sign(&task, &context(), share, &group.sharing, &mut spent).unwrap())
        })
        .collect();
    let three =
        cost(SHORT, || sign::aggregate(&task, &context(), &group.sharing, &shares).unwrap());
    let sum = costs.sum(2 * usize::from(threshold));
    let name = |part| format!("{part}_{threshold}_of_{count}");
    let floor = 2.0 * costs.base + 2.0 * sum + costs.verify;
    [
        row(&name("sign_per_device"), one + two + three, floor, goal),
        row(&name("sign_commit"), one, 2.0 * costs.base, &Goal::None),
        row(&name("sign_share"), two, sum, &Goal::None),
        row(&name("sign_aggregate"), three, sum + costs.verify, &Goal::None),
    ]
}

/// All that one member does for one key: three parts, sealing and opening.
fn generation(costs: &Primitives, threshold: u16, count: u16, goal: f64) -> Value {
    let mut own = rng(6);
    let of = indices(1..=count);
    let me = of[0];
    let members = members(threshold, &of, &mut own);
    let terms = &members.terms;
    let (others, broadcasts): (Vec<_>, BTreeMap<_, _>) = of
        .iter()
        .map(|it| dkg::begin::<Signing>(terms, *it, &mut own).unwrap())
        .map(|(dealer, broadcast)| (dealer, (broadcast.from, broadcast)))
        .unzip();
    let one = cost(SHORT, || dkg::begin::<Signing>(terms, me, &mut rng(7)).unwrap());
    let two = cost_of(
        LONG,
        || dkg::begin::<Signing>(terms, me, &mut rng(8)).unwrap().0,
        |it| it.deliver(&broadcasts, &mut rng(9)).unwrap(),
    );
    let (gatherers, deliveries): (Vec<_>, BTreeMap<_, _>) = others
        .into_iter()
        .map(|it| it.deliver(&broadcasts, &mut own).unwrap())
        .map(|(gatherer, _, delivery)| (gatherer, (delivery.from, delivery)))
        .unzip();
    let key = &members.session[&me];
    let none = BTreeMap::new();
    let three = cost(LONG, || gatherers[0].gather(&deliveries, &none, key).unwrap());
    let (t, n) = (usize::from(threshold), usize::from(count));
    let others = (n - 1) as f64;
    // The commitment and its proof; for each other one its proof, its points, a seal and an opening;
    // and the check of every public share for a small-order part, once for each coefficient.
    let floor = (t + 1) as f64 * costs.base
        + others * (costs.double + costs.seal + costs.open)
        + t as f64 * costs.variable;
    row(
        &format!("dkg_{threshold}_of_{count}_per_device"),
        one + two + three,
        floor,
        &Goal::Milliseconds(goal),
    )
}

/// All that a member who deals and receives does: deal, seal, the public part, open, put together.
fn resharing<S: Suite>(
    name: &str,
    costs: &Primitives,
    threshold: u16,
    count: u16,
    goal: f64,
) -> Value {
    let mut own = rng(10);
    let of = indices(1..=count);
    let group = world::generate::<S>(threshold, &of, &mut own);
    let quorum = group.quorum();
    let me = quorum[0];
    let run = world::deal(&group, &quorum, (Holders::Devices, threshold), &of, &mut own);
    let share = &group.shares[&me];
    let deal = cost(LONG, || reshare::deal(&run.plan, share, &group.sharing, &mut own).unwrap());
    let combine =
        cost(LONG, || reshare::combine(&run.plan, &group.sharing, &run.dealings).unwrap());
    let bytes: Vec<Vec<u8>> = run.dealings.values().map(aura_crypto::Message::to_bytes).collect();
    let parse = cost(LONG, || {
        let parsed = bytes
            .iter()
            .map(|it| <reshare::Dealing<S> as aura_crypto::Message>::from_bytes(it).unwrap());
        parsed.collect::<Vec<_>>()
    });
    let outcome = run.outcome(&group.sharing);
    let (none, no) = (BTreeMap::new(), BTreeMap::new());
    let key: &SessionKey = &run.keys[&me];
    let receive = cost(LONG, || {
        let inbox = Inbox { me, key, redelivered: &none, justified: &no };
        reshare::receive(&run.plan, &outcome, &run.dealings, &inbox).unwrap()
    });
    let (t, n) = (usize::from(threshold), usize::from(count));
    let floor = t as f64 * costs.base
        + n as f64 * costs.seal
        + t as f64 * costs.open
        + (t * t) as f64 * costs.decompress
        + t as f64 * costs.sum(t);
    row(
        &format!("reshare_{name}_{threshold}_of_{count}_per_member"),
        deal + parse + combine + receive,
        floor,
        &Goal::Milliseconds(goal),
    )
}

/// All that a device that wants the key does: check, evaluate, verify t reveals, aggregate, finalise.
fn derivation(costs: &Primitives, threshold: u16, count: u16, goal: &Goal) -> Value {
    let mut own = rng(11);
    let root = world::generate::<Derivation>(threshold, &indices(1..=count), &mut own);
    let name = request("chat");
    let (blind, initiation) =
        dkd::initiate(session(4), name.clone(), &root.sharing, &mut own).unwrap();
    let checked = initiation.check(session(4), &name, &root.sharing).unwrap();
    let (commitments, reveals): (BTreeMap<_, _>, BTreeMap<_, _>) = root
        .quorum()
        .iter()
        .map(|it| {
            let (commitment, reveal) = checked.evaluate(&root.shares[it], &mut own).unwrap();
            ((*it, commitment), (*it, reveal))
        })
        .unzip();
    let first = &root.shares[&root.quorum()[0]];
    let value = cost(LONG, || {
        let checked = initiation.check(session(4), &name, &root.sharing).unwrap();
        black_box(checked.evaluate(first, &mut own).unwrap());
        let evaluated = checked.aggregate(&commitments, &reveals).unwrap();
        evaluated.finalize(&blind).unwrap()
    });
    let t = usize::from(threshold);
    // The proof of the blind, the evaluation and its proof, two equations a reveal, the sum, unblinding.
    let floor = costs.sum(2)
        + 3.0 * costs.variable
        + costs.base
        + t as f64 * (costs.double + costs.sum(4))
        + costs.sum(t)
        + 2.0 * costs.variable;
    row(&format!("dkd_{threshold}_of_{count}_per_device"), value, floor, goal)
}

fn main() {
    let frame = Context { domain: Domain::Checkpoint, account: account(), epoch: 7 };
    assert_eq!(frame, context());
    let costs = Primitives::measure();
    let mut rows = vec![strict_verify(&costs)];
    rows.push(signing(&costs, 2, 3));
    rows.push(signing(&costs, 3, 5));
    rows.extend(signing_rounds(3, 5, &costs, &Goal::Milliseconds(1.0)));
    rows.extend(signing_rounds(34, 50, &costs, &Goal::None));
    for (threshold, count, dkg, reshare) in
        [(3, 5, 1.5, 2.0), (7, 10, 5.0, 5.0), (34, 50, 100.0, 70.0)]
    {
        rows.push(generation(&costs, threshold, count, dkg));
        rows.push(resharing::<Signing>("signing", &costs, threshold, count, reshare));
        rows.push(resharing::<Derivation>("derivation", &costs, threshold, count, reshare));
    }
    rows.push(derivation(&costs, 3, 5, &Goal::Milliseconds(1.0)));
    rows.push(derivation(&costs, 7, 10, &Goal::None));
    rows.push(derivation(&costs, 34, 50, &Goal::Milliseconds(8.0)));
    println!("{}", json!({ "bench": "crypto", "rows": rows }));
}
