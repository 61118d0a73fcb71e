// The gate and the module, apart from the page: while a module runs, the page answers, and ending this
// worker ends the module.
import init, { inspect, run } from "./aura_wasm_host_web.js";

const ready = init({ module_or_path: new URL("aura_wasm_host_web_bg.wasm", import.meta.url) }).then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ ready: false, message: String(error) }),
);

onmessage = async ({ data }) => {
  await ready;
  const { id, task, bytes, script } = data;
  let answer;
  try {
    answer = JSON.parse(task === "run" ? run(bytes, script) : inspect(bytes));
  } catch (error) {
    // The gate itself failed. What it leaves behind is not used again: the page starts another worker.
    answer = { error: { code: "HostError", message: String(error) }, broken: true };
  }
  postMessage({ id, answer });
};
