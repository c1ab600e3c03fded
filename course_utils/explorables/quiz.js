// The quiz: native radio buttons, a verdict with its reason, as many tries as the learner likes.

export const math = {
  // answered: [[question, choice], ...] in order -> how many questions are right by now, and at the first try
  score(questions, answered) {
    const first = new Map();
    const right = new Set();
    for (const [q, c] of answered) {
      const correct = Boolean(questions[q]?.choices[c]?.correct);
      if (!first.has(q)) first.set(q, correct);
      if (correct) right.add(q);
    }
    return { total: questions.length, tried: first.size, right: right.size, first: [...first.values()].filter(Boolean).length };
  },
};

function render({ model, el }) {
  const questions = model.get("questions") || [];
  const recall = model.get("section") === "recall";
  const cx = ui.shell(el, { kind: "quiz", label: recall ? "Recall questions" : "Quiz" });
  const answers = () => model.get("answered") || [];
  let writing = false;
  const write = (list) => {
    writing = true;
    model.set("answered", list);
    model.save_changes();
    writing = false;
  };

  const items = questions.map((item, q) => {
    const name = ui.uid("answer");
    const inputs = item.choices.map((_, c) => ui.h("input", { type: "radio", name, value: c }));
    const verdict = ui.h("p", { class: "cx-verdict", hidden: true, id: ui.uid("verdict") });
    const after = ui.h("div", { class: "cx-after" });
    const field = ui.h("fieldset", { "aria-describedby": verdict.id },
      ui.h("legend", {}, `${q + 1}. `, ui.rich(item.question)),
      item.choices.map((choice, c) => ui.h("label", { class: "cx-answer" }, inputs[c], ui.h("span", {}, ui.rich(choice.text)))),
      after);
    cx.stage.append(field);
    const chosen = () => inputs.findIndex((input) => input.checked);
    const check = () => {
      const c = chosen();
      if (c < 0) {
        say("Choose an answer first.", "", null);
        inputs[0].focus();
        return;
      }
      write([...answers(), [q, c]]);
      judge(c, true);
    };
    const say = (word, reason, right, quiet) => {
      verdict.hidden = false;
      ui.set(verdict, { "data-right": right === null ? null : String(right) });
      verdict.replaceChildren(ui.h("b", { text: word }), " ", ui.rich(reason));
      if (!quiet) cx.announce(`${word} ${reason}`.replaceAll("`", ""));
    };
    const judge = (c, aloud) => {
      const choice = item.choices[c];
      const right = Boolean(choice.correct);
      say(right ? "✔ Right." : "✘ Not right.", choice.why, right, !aloud);
    };
    const button = cx.button({ label: "Check", parent: after, onClick: check });
    button.element.setAttribute("aria-label", `Check question ${q + 1}`);
    after.append(verdict);
    cx.on(field, "change", () => { verdict.hidden = true; });
    cx.on(field, "keydown", (event) => {
      if (event.key === "Enter" && event.target.type === "radio") {
        event.preventDefault();
        check();
      }
    });
    return {
      restore(c) {
        inputs.forEach((input, i) => { input.checked = i === c; });
        if (c === undefined) verdict.hidden = true;
        else judge(c, false);
      },
    };
  });

  const line = ui.h("p", {});
  const foot = ui.h("div", { class: "cx-score" }, line);
  cx.stage.append(foot);
  cx.button({ label: "Start again", parent: foot, onClick: () => {
    write([]);
    restore();
    cx.announce("All answers are cleared.");
  } });

  function score() {
    const s = math.score(questions, answers());
    line.textContent = s.tried === 0
      ? `${s.total} ${s.total === 1 ? "question" : "questions"}`
      : `${s.right} of ${s.total} right, ${s.first} at the first try`;
  }
  function restore() {
    const last = new Map(answers());
    items.forEach((item, q) => item.restore(last.get(q)));
    score();
  }
  // another view of the same quiz, or Python, changed the answers
  cx.observe(model, "change:answered", () => (writing ? score() : restore()));
  restore();
  return cx.dispose;
}

export default { render };
