"use strict";
(() => {
  const digits = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
  const write = (value, unit) =>
    value === null ? "-" : unit === "share" ? digits(value * 100) + " %" : digits(value) + " " + unit;
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const { unit, at, left, values } = JSON.parse(figure.querySelector("script").textContent);
    const box = figure.querySelector(".area-box");
    const cursor = figure.querySelector(".cursor");
    const time = figure.querySelector(".cursor-time");
    const readouts = figure.querySelectorAll(".legend b");
    if (!at.length) continue;
    const show = (event) => {
      const frame = box.getBoundingClientRect();
      const percent = (100 * (event.clientX - frame.left)) / frame.width;
      let best = 0;
      for (let i = 1; i < left.length; i++) {
        if (Math.abs(left[i] - percent) < Math.abs(left[best] - percent)) best = i;
      }
      cursor.hidden = false;
      cursor.style.left = left[best] + "%";
      time.textContent = "at " + at[best] + " s";
      readouts.forEach((out, i) => { out.textContent = write(values[i][best], unit); });
    };
    const hide = () => {
      cursor.hidden = true;
      time.textContent = "";
      readouts.forEach((out) => { out.textContent = "max " + out.dataset.most; });
    };
    box.addEventListener("pointermove", show);
    box.addEventListener("pointerdown", show);
    box.addEventListener("pointerleave", hide);
  }
  const marks = document.querySelectorAll("[data-check]");
  for (const row of document.querySelectorAll("[data-shows]")) {
    const point = (on) => () => {
      document.body.classList.toggle("pointing", on);
      marks.forEach((mark) => mark.classList.toggle("lit", on && mark.dataset.check === row.dataset.shows));
    };
    row.addEventListener("pointerenter", point(true));
    row.addEventListener("pointerleave", point(false));
  }
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
