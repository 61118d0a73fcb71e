// Shows what the worker says. Everything that comes out of a module is set as text, never as markup.

const MODULE_BYTES_MAX = 4 << 20;
const SCRIPTS = {
  counter: "# Each device adds a number.\nstart 3\nsignal 1 5\nsignal 2 7\nsignal 3 30\n",
  poll: "# The opener asks, everybody answers.\nstart 3 What about noon?\nsignal 1 yes\nsignal 2 no\nsignal 3 yes\n",
};
const $ = (id) => document.getElementById(id);

let worker;
let waiting = new Map();
let next = 0;
let module; // The bytes of the module that is shown.
let suggested = ""; // The script that the page wrote itself, which another may replace.

function begin() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => {
    if (data.ready === false) return state(`The gate could not be loaded: ${data.message}`);
    if (data.ready) return state(module ? "" : "Ready.");
    const answered = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.answer.broken) restart();
    answered?.(data.answer);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    state(`The gate could not be loaded: ${event.message || "the worker did not start"}`);
  };
}

function ask(task) {
  return new Promise((answered) => {
    waiting.set(++next, answered);
    worker.postMessage({ id: next, ...task });
  });
}

function restart() {
  worker.terminate();
  const unanswered = waiting;
  waiting = new Map();
  begin();
  for (const answered of unanswered.values()) answered({ stopped: true });
}

function state(text) {
  $("state").textContent = text;
}

function element(tag, text, className) {
  const it = document.createElement(tag);
  if (text !== undefined) it.textContent = text;
  if (className) it.className = className;
  return it;
}

function facts(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value, className]) =>
    [element("dt", name), element("dd", value, className)]));
}

const count = (number) => Number(number).toLocaleString("en");
const bytes = (number) => `${count(number)} bytes`;
const listed = (items) => items.join(", ") || "none";

async function choose(file) {
  if (!file) return;
  if (MODULE_BYTES_MAX < file.size) {
    return state(`${file.name} has ${bytes(file.size)}; a module has at most ${bytes(MODULE_BYTES_MAX)}.`);
  }
  state(`Checking ${file.name}…`);
  let read;
  try {
    read = new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    return state(`${file.name} could not be read: ${error.message}`);
  }
  const answer = await ask({ task: "inspect", bytes: read });
  if (answer.stopped) return state(`Checking ${file.name} was stopped.`);
  if (answer.error) return state(`${file.name} could not be checked: ${answer.error.message}`);
  module = read;
  show(file.name, answer.module);
}

function show(name, it) {
  state("");
  $("module").hidden = false;
  $("verdict").className = `notice ${it.verdict.accepted ? "good" : "bad"}`;
  $("verdict-word").textContent = it.verdict.accepted ? "Accepted" : "Refused";
  $("verdict-code").textContent = it.verdict.accepted ? "" : it.verdict.code;
  $("verdict-reason").textContent =
    it.verdict.accepted ? "Every device would run this module." : sentence(it.verdict.reason);
  facts($("facts"), [
    ["File", name],
    ["Size", it.metered_size ? `${bytes(it.size)}, ${bytes(it.metered_size)} once metered` : bytes(it.size)],
    ["Digest", it.digest, "digest"],
    ...described(it.descriptor),
  ]);
  $("types").replaceChildren(...it.session_types.flatMap(type));
  $("usage").hidden = it.usage.length === 0;
  $("usage-rows").replaceChildren(...it.usage.map(usage));
  $("runner").hidden = !it.verdict.accepted || it.descriptor?.role !== "protocol";
  $("failure").hidden = $("result").hidden = true;
  if ($("script").value === suggested) {
    suggested = SCRIPTS[it.descriptor?.protocol] ?? "start 2\n";
    $("script").value = suggested;
  }
  $("module-title").focus();
}

function described(descriptor) {
  if (!descriptor) return [];
  return [
    ["Protocol", `${descriptor.protocol} ${descriptor.version}`],
    ["Role", descriptor.role],
    ["Capabilities", listed(descriptor.capabilities)],
    ["Uses", listed(descriptor.uses)],
    ["Interface", `version ${descriptor.abi}`],
    ["Record layout", descriptor.schema, "digest"],
    ["Authors", descriptor.authors || "unknown"],
    ["Source", descriptor.source ?? "not said", descriptor.source ? "digest" : ""],
  ];
}

function type(it) {
  const fold = element("details");
  const diagram = element("pre", it.diagram);
  diagram.tabIndex = 0;
  fold.append(element("summary", "As a sequence diagram, in Mermaid's language"), diagram);
  const text = element("pre", it.text);
  text.tabIndex = 0;
  return [element("h3", `Session type ${it.name}`), text, fold];
}

function usage(it) {
  const row = element("tr");
  const meter = element("meter");
  Object.assign(meter, { min: 0, max: Math.max(it.limit, 1), value: it.found });
  meter.setAttribute("aria-label", `${it.rule}: ${it.found} of ${it.limit}`);
  const share = element("td");
  share.append(meter);
  row.append(element("td", it.rule), element("td", count(it.found), "number"),
    element("td", count(it.limit), "number"), share);
  return row;
}

const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

async function run(event) {
  event.preventDefault();
  $("failure").hidden = $("result").hidden = true;
  busy(true);
  const answer = await ask({ task: "run", bytes: module, script: $("script").value });
  busy(false);
  if (answer.run) return ran(answer.run);
  $("failure").textContent = answer.stopped ? "Stopped." : sentence(answer.error.message);
  $("failure").hidden = false;
}

function busy(is) {
  $("run").disabled = is;
  $("run").textContent = is ? "Running…" : "Run";
  $("stop").disabled = !is;
}

function ran(it) {
  $("result").hidden = false;
  const expected = $("expected").value.trim().toLowerCase();
  $("comparison").hidden = !expected;
  $("comparison").className = `notice ${expected === it.trace ? "good" : "bad"}`;
  $("comparison").textContent = expected === it.trace
    ? "Equal: the same answers for the same fuel."
    : "Different: not the same module, not the same script, or not the same answers.";
  facts($("run-facts"), [
    ["Trace", it.trace, "digest"],
    ["Steps", `${count(it.steps)} in ${count(it.sessions)} ${it.sessions === 1 ? "session" : "sessions"}`],
    ["Fuel", count(it.fuel)],
  ]);
  $("run-facts").querySelector("dd").id = "trace";
  $("log-rows").replaceChildren(...it.log.map(step));
  $("log-note").textContent =
    it.log.length < it.steps ? `The first ${count(it.log.length)} steps are shown; the trace is of all.` : "";
}

function step(it) {
  const isWrong = /^(error|trapped):/.test(it.answer);
  const row = element("tr", undefined, isWrong ? "error" : "");
  const trace = element("td");
  const short = element("code", it.trace.slice(0, 8));
  short.title = it.trace;
  trace.append(short);
  row.append(element("td", count(it.number), "number"), element("td", count(it.line), "number"),
    element("td", count(it.device), "number"), element("td", it.input, "words"),
    element("td", it.answer, "words"), element("td", it.fuel === null ? "–" : count(it.fuel), "number"), trace);
  return row;
}

$("file").addEventListener("change", () => choose($("file").files[0]));
$("run-form").addEventListener("submit", run);
$("stop").addEventListener("click", restart);
for (const name of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") choose(event.dataTransfer.files[0]);
  });
}
begin();
