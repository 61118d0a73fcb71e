//! Sessions in the document: who opened them, what they speak, who wrote into them, how they ended.
//!
//! Each key of a session is written by one device alone, so nothing of a session is ever in conflict.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    child_session_id,
    event::{ChildOpening, CloseSession, OpenChild, OpenSession, RecordPut},
    session_id,
};
use aura_protocol_core::{
    AppId, DeviceId, Epoch, Outcome, SessionId,
    limits::{BATCH_RECORDS_MAX, DEVICES_MAX},
};

use crate::{
    compile::{
        Cell, Scope, entries::Container, past::AuthorId, records::Records, standing::Standing,
    },
    engine::{Draft, Object, Scalar},
    text,
};

/// Most sessions in one page of a device. A write into a small map that was made not long ago costs
/// Automerge a small part of one into a large map.
const PAGE_SESSIONS_MAX: usize = 128;

/// The sessions that were compiled.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    pages: BTreeMap<AuthorId, Page>,
}

#[derive(Debug)]
struct Page {
    object: Object,
    number: usize,
    sessions: usize,
}

#[derive(Debug)]
struct Session {
    opener: AuthorId,
    /// The place of the unit that opened it; none where a base has it, which every unit has seen.
    opened_seq: Option<u64>,
    app: AppId,
    /// None for one that was refused: nothing can be written into it.
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    object: Object,
    participants: Vec<DeviceId>,
    status: Cell,
    messages: BTreeMap<AuthorId, (u64, Cell)>,
    is_closed: bool,
    until: Option<Epoch>,
    /// The other participants that said that it timed out.
    timed_out: BTreeSet<AuthorId>,
}

impl Sessions {
    pub(crate) fn open(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        open: &OpenSession,
        until: Option<Epoch>,
    ) {
        let body = scope.body;
        let id = session_id(body.account, body.author, body.seq);
        let is_ours = open.agreement.runs.contains_key(&body.author);
        if body.session == Some(id) && is_ours && !self.sessions.contains_key(&id) {
            self.begin(scope, draft, id, (open, until));
        }
    }

    pub(crate) fn open_child(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        child: &OpenChild,
        until: Option<Epoch>,
    ) {
        let id = child_session_id(child.parent, child.part);
        let Some(parent) = self.sessions.get(&child.parent) else { return };
        let Some(run) = parent.run.as_ref().filter(|it| !it.is_closed) else { return };
        let is_allowed = parent.opener == scope.author
            && scope.body.session == Some(id)
            && !scope.is_overdue(run.until);
        if !is_allowed || self.sessions.contains_key(&id) {
            return;
        }
        let app = parent.app;
        let object = match &child.opening {
            ChildOpening::Opened(open)
                if run.participants.iter().eq(open.agreement.runs.keys()) =>
            {
                self.begin(scope, draft, id, (open, until))
            }
            ChildOpening::Opened(_) => return,
            ChildOpening::Refused(reason) => {
                let at = Opener::of(scope);
                let object = self.place(&at, draft, id);
                put(draft, object, "opener", text::id(scope.body.author.as_bytes()));
                put(draft, object, "status", "refused".to_owned());
                put(draft, object, "reason", reason.clone());
                let (opener, opened_seq) = (scope.author, Some(scope.body.seq));
                self.sessions.insert(id, Session { opener, opened_seq, app, run: None });
                object
            }
        };
        put(draft, object, "part_of", text::id(child.parent.as_bytes()));
        draft.put(object, "part", Scalar::Number(child.part), &[]);
    }

    fn begin(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        id: SessionId,
        (open, until): (&OpenSession, Option<Epoch>),
    ) -> Object {
        let opener = Opener::of(scope);
        let run = self.show(&opener, draft, id, (open, until));
        let object = run.object;
        let (opener, opened_seq) = (scope.author, Some(scope.body.seq));
        self.sessions.insert(id, Session { opener, opened_seq, app: open.app, run: Some(run) });
        object
    }

    /// Writes what an opening says.
    fn show(
        &mut self,
        opener: &Opener,
        draft: &mut Draft,
        id: SessionId,
        (open, until): (&OpenSession, Option<Epoch>),
    ) -> Run {
        let object = self.place(opener, draft, id);
        let participants: Vec<DeviceId> = open.agreement.runs.keys().copied().collect();
        put(draft, object, "app", text::id(open.app.as_bytes()));
        put(draft, object, "protocol", open.protocol.to_string());
        put(draft, object, "version", open.agreement.spoken.to_string());
        put(draft, object, "opener", text::id(opener.device.as_bytes()));
        let shown = participants.iter().take(DEVICES_MAX);
        // A roster has no more, so what is left out is no device of the account.
        put(draft, object, "participants", text::list(shown.map(|it| text::id(it.as_bytes()))));
        if let Some(Epoch(until)) = until {
            draft.put(object, "until", Scalar::Number(until), &[]);
        }
        let mut status = Cell::default();
        status.text(draft, object, "status", "open".to_owned());
        let (messages, timed_out) = (BTreeMap::new(), BTreeSet::new());
        Run { object, participants, status, messages, is_closed: false, until, timed_out }
    }

    /// Shows the sessions that a base keeps: those that are open.
    pub(super) fn stand(&mut self, standing: &mut Standing<'_>) {
        for (id, state) in &standing.base.state().sessions {
            let author = standing.past.author(state.opener);
            let sessions = Container::Sessions.object(standing.control);
            let opener = Opener { author, device: state.opener, sessions };
            let mut run = self.show(&opener, standing.draft, *id, (&state.open, state.until));
            if let Some((parent, part)) = state.parent {
                put(standing.draft, run.object, "part_of", text::id(parent.as_bytes()));
                standing.draft.put(run.object, "part", Scalar::Number(part), &[]);
            }
            let mut counts: BTreeMap<DeviceId, u64> = BTreeMap::new();
            for author in state.messages.iter().filter_map(|it| standing.authors.get(it)) {
                let count = counts.entry(*author).or_default();
                *count = count.saturating_add(1);
            }
            for (author, count) in counts {
                let known = run.messages.entry(standing.past.author(author)).or_default();
                known.0 = count;
                let (key, number) = (messages_key(author), Scalar::Number(count));
                known.1.set(standing.draft, run.object, key, number);
            }
            if state.outcome.is_some() {
                run.is_closed = true;
                let status = if matches!(state.outcome, Some(Outcome::Completed { .. })) {
                    "completed"
                } else {
                    "aborted"
                };
                run.status.text(standing.draft, run.object, "status", status.to_owned());
            }
            let app = state.open.app;
            self.sessions
                .insert(*id, Session { opener: author, opened_seq: None, app, run: Some(run) });
        }
    }

    /// Makes the session's map, on its opener's newest page.
    fn place(&mut self, opener: &Opener, draft: &mut Draft, id: SessionId) -> Object {
        let number = match self.pages.get(&opener.author) {
            Some(page) if page.sessions < PAGE_SESSIONS_MAX => None,
            Some(page) => Some(page.number.saturating_add(1)),
            None => Some(0),
        };
        if let Some(number) = number {
            let key = format!("{}/{number}", text::id(opener.device.as_bytes()));
            let object = draft.make(opener.sessions, key, &[]);
            let page = Page { object: Object::Made(object), number, sessions: 0 };
            self.pages.insert(opener.author, page);
        }
        let page = self.pages.get_mut(&opener.author);
        let pages = page.map_or(Object::Root, |page| {
            page.sessions = page.sessions.saturating_add(1);
            page.object
        });
        Object::Made(draft.make(pages, text::id(id.as_bytes()), &[]))
    }

    pub(crate) fn message(&mut self, scope: &Scope<'_>, draft: &mut Draft) {
        let session = scope.body.session.and_then(|id| self.sessions.get_mut(&id));
        let Some(session) = session.filter(|it| it.is_in(scope)) else { return };
        let Some(run) = &mut session.run else { return };
        if !run.participants.contains(&scope.body.author) {
            return;
        }
        let (count, cell) = run.messages.entry(scope.author).or_default();
        *count = count.saturating_add(1);
        let key = messages_key(scope.body.author);
        cell.set(draft, run.object, key, Scalar::Number(*count));
    }

    pub(crate) fn close(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        close: &CloseSession,
        records: &mut Records,
    ) {
        let session = scope.body.session.and_then(|id| self.sessions.get_mut(&id));
        let Some(session) = session.filter(|it| it.is_in(scope)) else { return };
        let (app, is_ours) = (session.app, session.opener == scope.author);
        let Some(run) = session.run.as_mut().filter(|_| is_well_formed(close)) else { return };
        let is_overdue = scope.is_overdue(run.until);
        if !is_ours {
            // What others say of its end stands under their own names, so that nothing is in conflict.
            let takes_part = run.participants.contains(&scope.body.author);
            if is_overdue && takes_part && run.timed_out.insert(scope.author) {
                let key = timed_out_key(scope.body.author);
                draft.put(run.object, key, Scalar::Yes, &[]);
            }
            return;
        }
        if run.is_closed {
            return;
        }
        run.is_closed = true;
        if is_overdue {
            return run.status.text(draft, run.object, "status", "timed out".to_owned());
        }
        match &close.outcome {
            Outcome::Aborted { reason } | Outcome::Left { reason } => {
                run.status.text(draft, run.object, "status", "aborted".to_owned());
                put(draft, run.object, "reason", reason.clone());
            }
            Outcome::Completed { result, .. } => {
                run.status.text(draft, run.object, "status", "completed".to_owned());
                put(draft, run.object, "result", text::shown(result));
                let written = Scalar::Number(close.batch.len() as u64);
                draft.put(run.object, "records", written, &[]);
                for put in &close.batch {
                    records.write(scope, draft, (app, close.schema, put.key.clone()), put);
                }
            }
        }
    }

    /// The app of a session.
    pub(crate) fn app(&self, id: SessionId) -> Option<AppId> {
        self.sessions.get(&id).map(|it| it.app)
    }
}

impl Session {
    /// Whether the unit had seen the session begin.
    fn is_in(&self, scope: &Scope<'_>) -> bool {
        self.opened_seq.is_none_or(|seq| scope.clock.covers(self.opener, seq))
    }
}

/// Who opened a session, and where sessions are.
struct Opener {
    author: AuthorId,
    device: DeviceId,
    sessions: Object,
}

impl Opener {
    fn of(scope: &Scope<'_>) -> Self {
        let sessions = scope.container(Container::Sessions);
        Self { author: scope.author, device: scope.body.author, sessions }
    }
}

fn messages_key(author: DeviceId) -> String {
    format!("messages {}", text::id(author.as_bytes()))
}

fn timed_out_key(author: DeviceId) -> String {
    format!("timed out {}", text::id(author.as_bytes()))
}

fn put(draft: &mut Draft, object: Object, key: &str, text: String) {
    draft.put(object, key, Scalar::Text(text), &[]);
}

/// The rule of the fold: the batch keeps to the limits, names each key once, and stands where it
/// belongs.
fn is_well_formed(close: &CloseSession) -> bool {
    let keys: std::collections::BTreeSet<_> = close.batch.iter().map(|it| &it.key).collect();
    let inner_is_empty = match &close.outcome {
        Outcome::Completed { batch, .. } => batch.is_empty(),
        Outcome::Aborted { .. } | Outcome::Left { .. } => true,
    };
    inner_is_empty
        && close.batch.len() <= BATCH_RECORDS_MAX
        && keys.len() == close.batch.len()
        && close.batch.iter().all(RecordPut::is_within_limits)
}
